"""The search: every order of small sagas, most of large ones; it finds what breaks the protocol's rules."""

from __future__ import annotations

from typing import Any

import pytest

from choreo.graph import SagaGraph
from choreo.protocol import Instance, Trigger, events, steps
from choreo.verify import Budget, verify
from choreo.verify.engine.budget import Meter, no_clock
from choreo.verify.engine.counterexample import run_of
from choreo.verify.engine.model import Model
from choreo.verify.engine.search import Counterexample, Search
from tests.graph.small_sagas import choreography_from
from tests.protocol import sagas
from tests.protocol.sagas import Saga, chain, last, step
from tests.protocol.test_exploration import SHAPES


def graph_of(saga: Saga, *, cancellable: bool = True) -> SagaGraph:
    (graph,) = choreography_from(saga, cancellable=cancellable).sagas
    return graph


def searched(saga: Saga, troubles: int = 1, *, cancellable: bool = True) -> tuple[Counterexample | None, int]:
    meter = Meter(Budget(troubles), no_clock)
    search = Search(Model(graph_of(saga, cancellable=cancellable)), troubles)
    return next(search.counterexamples(meter), None), meter.states


def branches(width: int, length: int) -> Saga:
    """Return a fork of so many branches of so many steps, and a join."""
    found, ends = [], []
    for branch in range(width):
        on = sagas.STARTED
        for number in range(length):
            found.append(step(f"B{branch}x{number}", on))
            on = f"B{branch}x{number}Done"
        ends.append(Trigger.of(on))
    return Saga(f"branches-{width}-{length}", (*found, last("Z", Trigger.all_of(*ends))))


# The states of each shape, without and with a cancellation.
COUNTS = {
    "chain-1": (6, 16),
    "chain-2": (10, 28),
    "chain-3": (14, 38),
    "join": (36, 88),
    "leaf": (65, 130),
    "pivot-last": (10, 28),
    "pivot-middle": (12, 36),
    "retriable-tail": (8, 24),
    "retriable-fork": (27, 72),
    "choice": (23, 62),
    "bypass": (19, 52),
    "merge": (86, 171),
    "shortcut": (14, 38),
    "choice-into-joins": (58, 152),
    "import-in-join": (26, 60),
    "import-branch": (52, 149),
    "import-row": (88, 284),
    "import-leaf": (97, 216),
}


@pytest.mark.parametrize("name", SHAPES)
def test_correct_sagas_have_no_counterexample(name: str) -> None:
    """And the number of their states is known, so that a change of the engine shows."""
    found = [searched(SHAPES[name], cancellable=cancellable) for cancellable in (False, True)]
    assert [counterexample for counterexample, _ in found] == [None, None]
    assert tuple(states for _, states in found) == COUNTS[name]


@pytest.mark.parametrize("name", SHAPES)
def test_deadlines_and_partial_effects_find_their_end(name: str) -> None:
    """On every step that may have them, near and far, together with a failure and a cancellation."""
    saga = SHAPES[name]
    compensatable = [each.name for each in saga.steps if each.kind == "compensatable"]
    for watched in compensatable:
        for far in (False, True):
            found, _ = searched(saga.with_watch(watched, far).with_partial(*compensatable))
            assert found is None


def test_two_of_each_trouble_find_their_end() -> None:
    """What `--deep` looks at."""
    for saga in (chain(3).with_watch("B").with_watch("C", far=True), sagas.JOIN.with_watch("A"), sagas.MERGE):
        assert searched(saga, 2)[0] is None


# Without a rule of the protocol, the search finds what goes wrong.


def finds(saga: Saga, *properties: str) -> Counterexample:
    found, _ = searched(saga)
    assert found
    assert found.property in properties
    return found


def test_without_the_abort_a_join_waits_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    """R4 off."""
    monkeypatch.setattr(Instance, "aborted", property(lambda saga: False))
    finds(sagas.JOIN, "termination", "quiescence")


def test_without_an_answer_the_rollback_stops(monkeypatch: pytest.MonkeyPatch) -> None:
    """R5 off; the counterexample is a run, event by event."""
    monkeypatch.setattr(steps, "answer", lambda saga, action, out, reason: None)
    found = finds(chain(2), "termination")
    run = run_of(Model(graph_of(chain(2))), found.transitions)
    assert run.end == ""
    assert run.scenario.title == "cancelled"
    assert [event.type for event in run.events][-1] != sagas.FAILS


def test_without_the_first_outcome_a_late_success_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """R3 off: a step that can't be refused is done after the saga has failed."""
    monkeypatch.setattr(events, "_counts", lambda role, saga, event: not saga.end)
    assert finds(sagas.RETRIABLE_TAIL.with_watch("A"), "complete-rollback").step == "b.do"


def test_without_the_vain_end_a_rollback_completes(monkeypatch: pytest.MonkeyPatch) -> None:
    """R8 off: the saga completes although a branch beside failed."""

    def every_end_counts(contract: Any, saga: Instance, event_type: str) -> bool:
        ends = {contract.completes: "completed", contract.fails: "failed"}
        saga.end = ends.get(event_type, saga.end)
        return True

    monkeypatch.setattr(events, "_ends_validly", every_end_counts)
    finds(sagas.LEAF, "one-end", "complete-rollback")


def test_too_early_an_undo_is_found_by_its_order(monkeypatch: pytest.MonkeyPatch) -> None:
    """R7 off: the textbook's compensations, which any failure calls."""

    def any_failure(saga: Saga, result: str) -> Trigger:
        return Trigger.of(*(each.failure for each in saga.steps if each.can_fail))

    monkeypatch.setattr(Saga, "reverse_edges", any_failure)
    finds(Saga("eager", chain(3).steps), "reverse-order")


def test_a_wide_saga_is_looked_at_in_few_states() -> None:
    """Eight branches of four steps: any two of them meet, and one step of them is held up in a run."""
    verdict = verify(choreography_from(branches(8, 4), cancellable=False))
    assert not verdict.errors
    assert verdict.scope.delays == 1
    assert verdict.scope.states < 20_000
    assert not verdict.scope.unfinished


@pytest.mark.parametrize("budget", [Budget(states=20), Budget(seconds=0.5)])
def test_a_limit_that_is_reached_is_a_finding_of_its_own(budget: Budget) -> None:
    """Inconclusive, with the limit, and never a silent pass."""
    ticks = iter(range(10_000_000))
    verdict = verify(choreography_from(branches(3, 2)), budget=budget, clock=lambda: float(next(ticks)))
    assert [finding.rule for finding in verdict.findings if finding.rule.startswith("CHO9")] == ["CHO901"]
    assert verdict.scope.unfinished
    assert "inconclusive: branches-3-2 stopped at" in str(verdict.scope)
    assert "complete for" not in str(verdict.scope)
