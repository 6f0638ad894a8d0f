"""The saga logs of real runs are runs of the model, and a log that was tampered with is none."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pytest

from choreo.graph import SagaGraph, choreography_of
from choreo.participant import Participant
from choreo.project.choreography import declared
from choreo.project.manifests import manifest_from
from choreo.records import Entry
from choreo.testing import Budget, Harness
from choreo.testing.fakes import fake_event
from choreo.testing.schedule import Seeded
from tests.verify.monitor import departures

from . import sagas
from .test_sagas import SAGAS

Logs = dict[str, Sequence[Entry]]


@dataclass
class Recorded:
    """One saga that was run in memory: its graph, and what everybody has logged of it."""

    graph: SagaGraph
    logs: Logs
    state: str


def recorded(participants: Sequence[Participant], seed: int) -> list[Recorded]:
    """Run each saga once, with failures, crashes and repeated records by chance."""
    graphs = choreography_of(map(manifest_from, participants)).sagas
    budget = Budget(crashes=1, repeats=1, failures=1)
    found = []
    for graph in graphs:
        (saga, *_) = {s.name: s for p in participants for s in p.sagas if s.name == graph.name}.values()
        with Harness(participants, chooser=Seeded(seed), budget=budget) as harness:
            if not any(seat.participant.roles()[saga.name].owns_start for seat in _seats(harness, saga.name)):
                continue
            saga_id = harness.start(fake_event(saga.starts), "s")
            harness.run()
            logs = {name: seat.store.history(saga_id) for name, seat in harness.processes.items()}
            taken = {name: rows for name, rows in logs.items() if name in graph.participants and rows}
            found.append(Recorded(graph, taken, harness.state(saga_id)))
    return found


def _seats(harness: Harness, saga: str) -> list[object]:
    return [s for s in harness.processes.values() if saga in s.participant.roles()]


@pytest.mark.parametrize("name", SAGAS)
def test_what_a_real_run_logs_is_a_run_of_the_model(name: str) -> None:
    """Whatever fails, crashes or comes twice on the way."""
    participants = declared(f"{sagas.__name__}.{name}")
    for run in recorded(participants, 0):
        assert departures(run.graph, run.logs) == []


def test_the_examples_orders_are_a_run_of_the_model() -> None:
    """Real handlers on a real database; an order of a made-up thing fails, and that is a run, too."""
    (run,) = recorded(declared("examples.orders"), 1)
    assert run.state in ("completed", "failed")
    assert departures(run.graph, run.logs) == []


@pytest.fixture(scope="module")
def run() -> Recorded:
    """Return a saga of three steps in which nothing went wrong by chance."""
    participants = declared(f"{sagas.__name__}.retriable_tail")
    (graph,) = choreography_of(map(manifest_from, participants)).sagas
    with Harness(participants) as harness:
        saga_id = harness.start(fake_event(participants[0].sagas[0].starts), "s")
        harness.run()
        return Recorded(
            graph, {n: p.store.history(saga_id) for n, p in harness.processes.items()}, "completed"
        )


def _dropped(rows: list[Entry]) -> None:
    del rows[2]


def _swapped(rows: list[Entry]) -> None:
    rows[1], rows[2] = rows[2], rows[1]


def _another_outcome(rows: list[Entry]) -> None:
    at = next(n for n, row in enumerate(rows) if row.input == "ended")
    rows[at] = rows[at]._replace(outcome="failed")


def _another_type(rows: list[Entry]) -> None:
    at = next(n for n, row in enumerate(rows) if row.event_id)
    rows[at] = rows[at]._replace(event_type="school.Expelled")


def _another_state(rows: list[Entry]) -> None:
    rows[-1] = rows[-1]._replace(saga_state="failed")


def _never_done(rows: list[Entry]) -> None:
    rows[:] = [row for row in rows if row.input == "event"]


def _not_in_order(rows: list[Entry]) -> None:
    events = [n for n, row in enumerate(rows) if row.input == "event"]
    first, second = events[0], events[1]
    one, two = rows[first].offset, rows[second].offset
    rows[first], rows[second] = rows[first]._replace(offset=two), rows[second]._replace(offset=one)


@pytest.mark.parametrize(
    "tamper",
    [_dropped, _swapped, _another_outcome, _another_type, _another_state, _never_done, _not_in_order],
)
def test_a_log_that_was_tampered_with_is_no_run(run: Recorded, tamper: Callable[[list[Entry]], None]) -> None:
    """It says in whose log, and at which row or event."""
    assert departures(run.graph, run.logs) == []
    rows = list(run.logs["office"])
    tamper(rows)
    found = departures(run.graph, {**run.logs, "office": rows})
    assert any(each.participant == "office" for each in found), found


def test_a_stranger_is_told() -> None:
    """A log of somebody who takes no part."""
    participants = declared(f"{sagas.__name__}.chain_of_one")
    (graph,) = choreography_of(map(manifest_from, participants)).sagas
    assert [str(each) for each in departures(graph, {"stranger": []})] == ["stranger: takes no part in trial"]
