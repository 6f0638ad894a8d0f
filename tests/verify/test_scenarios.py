"""The causal runs: which scenarios there are, how each ends; sharing beginnings and ends loses nothing."""

from __future__ import annotations

import pytest

from choreo.outcome import COMPENSATED, SUCCEEDED
from choreo.verify.engine.budget import Budget, Meter, no_clock
from choreo.verify.engine.model import Model
from choreo.verify.engine.path import Path
from choreo.verify.engine.run import Run
from choreo.verify.engine.scenarios import causal_runs
from choreo.verify.engine.violations import violations
from tests.graph.small_sagas import choreography_from
from tests.protocol import sagas
from tests.protocol.sagas import Saga, chain
from tests.protocol.test_exploration import SHAPES


def model_of(saga: Saga, *, cancellable: bool = False) -> Model:
    (graph,) = choreography_from(saga, cancellable=cancellable).sagas
    return Model(graph)


def runs_of(saga: Saga, *, cancellable: bool = False, troubles: int = 1) -> tuple[list[Run], int]:
    meter = Meter(Budget(troubles), no_clock)
    return list(causal_runs(model_of(saga, cancellable=cancellable), troubles, meter)), meter.states


def types(run: Run) -> str:
    return " ".join(event.type for event in run.events)


def test_a_chain_has_a_run_for_each_step_that_fails() -> None:
    """And one in which it becomes a dead letter and is requeued; one in which nothing fails."""
    runs, states = runs_of(chain(3))
    assert {run.scenario.title: types(run) for run in runs} == {
        "nothing fails": "Started ADone BDone Completed",
        "a.do fails": "Started AFailed Failed",
        "b.do fails": "Started ADone BFailed AUndone Failed",
        "c.do fails": "Started ADone BDone CFailed BUndone AUndone Failed",
        **{
            f"{step}.do is a dead letter for a while": "Started ADone BDone Completed"
            for step in ("a", "b", "c")
        },
    }
    assert states == 15


def test_a_cancellation_may_come_before_the_start_and_after_every_event() -> None:
    """Too late, it stops nothing."""
    runs, _ = runs_of(chain(2), cancellable=True)
    found = {run.scenario.title: types(run) for run in runs if "cancelled" in run.scenario.title}
    assert found == {
        "cancelled before it starts": "Cancelled Started AFailed Failed",
        "cancelled after start": "Started Cancelled ADone BFailed AUndone Failed",
        "cancelled after a.do": "Started ADone Cancelled Completed",
    }


def test_a_deadline_passes_when_it_is_armed_before_the_begin_and_before_the_reply() -> None:
    """A late reply comes just after the deadline, or when the rollback is over as far as it can be."""
    runs, _ = runs_of(chain(2).with_watch("B", far=True))
    name = "orders.late_b_0"
    assert {run.scenario.title: types(run) for run in runs if name in run.scenario.title} == {
        f"{name} passes before b.do is called": "Started ADone BLateFar Completed BUndone AUndone Failed",
        f"b.do is called late for {name}": "Started ADone BLateFar BUndone AUndone Failed",
        f"b.do answers just after {name}": "Started ADone BLateFar Completed BUndone AUndone Failed",
        f"b.do answers long after {name}": "Started ADone BLateFar Completed BUndone AUndone Failed",
    }


def test_a_choice_is_run_once_for_each_answer() -> None:
    """With every failure on each way."""
    runs, _ = runs_of(sagas.CHOICE)
    good = {run.scenario.title for run in runs if run.end == "completed" and not run.scenario.troubles}
    assert good == {"nothing fails", "nothing fails; a.do answers A2"}
    failed = {run.scenario.title for run in runs if run.end == "failed"}
    assert "d.do fails" in failed
    assert "d.do fails; a.do answers A2" in failed
    assert "b.do fails; a.do answers A2" not in failed


def test_a_partial_step_may_raise_after_it_has_done_something() -> None:
    """Then it is compensated first, and fails afterwards."""
    runs, _ = runs_of(chain(2).with_partial("B"))
    (run,) = (run for run in runs if run.scenario.title == "b.do raises")
    assert types(run) == "Started ADone BFailed AUndone Failed"


# Of each shape: scenarios, and states that were visited, without and with a cancellation.
COUNTS = {
    "chain-1": ((3, 5), (5, 11)),
    "chain-2": ((5, 10), (8, 20)),
    "chain-3": ((7, 15), (11, 29)),
    "join": ((7, 22), (11, 37)),
    "leaf": ((7, 22), (11, 36)),
    "pivot-last": ((5, 10), (8, 20)),
    "pivot-middle": ((6, 12), (10, 25)),
    "retriable-tail": ((4, 7), (7, 16)),
    "retriable-fork": ((6, 13), (11, 29)),
    "choice": ((13, 29), (20, 52)),
    "bypass": ((11, 23), (17, 42)),
    "merge": ((7, 22), (11, 36)),
    "shortcut": ((7, 16), (11, 30)),
    "choice-into-joins": ((17, 55), (26, 91)),
    "import-in-join": ((5, 11), (9, 24)),
    "import-branch": ((7, 18), (12, 37)),
    "import-row": ((9, 26), (15, 53)),
    "import-leaf": ((5, 10), (8, 21)),
}


@pytest.mark.parametrize("name", SHAPES)
def test_the_number_of_states_is_known(name: str) -> None:
    """A change of the engine shows in them."""
    found = []
    for cancellable in (False, True):
        runs, states = runs_of(SHAPES[name], cancellable=cancellable)
        found.append((len(runs), states))
    assert tuple(found) == COUNTS[name]


@pytest.mark.parametrize("troubles", [1, 2])
@pytest.mark.parametrize("name", SHAPES)
def test_correct_sagas_break_nothing(name: str, troubles: int) -> None:
    """Every run of every shape ends, and breaks no property, joined to another or not."""
    saga = SHAPES[name]
    compensatable = [step.name for step in saga.steps if step.kind == "compensatable"]
    for watched in (saga, *(saga.with_watch(step, far) for step in compensatable for far in (True, False))):
        model = model_of(watched, cancellable=True)
        runs, _ = runs_of(watched, cancellable=True, troubles=troubles)
        assert all(run.end for run in runs)
        assert not [each for run in runs for each in violations(model.graph, run)]


@pytest.mark.parametrize("name", SHAPES)
def test_a_run_that_ends_as_another_did_is_the_one_that_it_would_have_been(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Run to their ends, all runs have the same events, each because of the same ones."""
    saga = SHAPES[name].with_watch("A") if SHAPES[name].step["A"].answers else SHAPES[name]
    joined, _ = runs_of(saga, cancellable=True)
    monkeypatch.setattr("choreo.verify.engine.scenarios._ScenarioPath.joins_another", Path.joins_another)
    alone, _ = runs_of(saga, cancellable=True)
    assert any(run.is_repeat for run in joined)
    for one, other in zip(joined, alone, strict=True):
        assert one.scenario == other.scenario
        assert (one.end, one.waiting, one.dead) == (other.end, other.waiting, other.dead)
        assert sorted(event.type for event in one.events) == sorted(event.type for event in other.events)
        assert _order(one) == _order(other)


def _order(run: Run) -> set[tuple[str, str]]:
    """Return the causal order of what was done and undone."""
    done = [(n, event) for n, event in enumerate(run.events) if event.outcome in (SUCCEEDED, COMPENSATED)]
    return {(a.type, b.type) for n, a in done for m, b in done if run.is_before(n, m)}


def test_a_limit_ends_it_early() -> None:
    """And it says which."""
    meter = Meter(Budget(states=10), no_clock)
    runs = list(causal_runs(model_of(chain(9)), 1, meter))
    assert 0 < len(runs) < 19
    assert meter.exhausted == "10 states"
