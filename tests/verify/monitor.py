"""``departures``: whether the saga logs of a real run are those of a run of the model.

Each log alone must be what its participant's role gives when its rows are folded again; all logs together
must tell of one topic in one order, of events that the choreography has, each published by whoever owns its
step.

Source: Havelund and Roşu, *Monitoring Programs Using Rewriting* (2001), for checking a trace against a model.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from choreo.errors import ReplayError
from choreo.graph import SagaGraph, role_of
from choreo.outcome import CANCEL, START, TIMED_OUT
from choreo.records import Entry
from choreo.replay.fold import Replay

Logs = Mapping[str, Sequence[Entry]]
"""The rows of one saga, by participant, each log in its own order."""


class Departure(NamedTuple):
    """Where a log leaves the model: whose log, and how."""

    participant: str
    what: str

    def __str__(self) -> str:
        return f"{self.participant}: {self.what}"


def departures(graph: SagaGraph, logs: Logs) -> list[Departure]:
    """Return what no run of the model could have logged; nothing where the logs are a run of it.

    ``logs`` may leave participants out: what only they know is not asked for.
    """
    order = _order(logs)
    found: list[Departure] = []
    for participant, entries in logs.items():
        told = (*_folded(graph, participant, entries), *_known(graph, entries), *_read(entries, order))
        found += (Departure(participant, what) for what in told)
    return found + list(_unpublished(graph, logs, order))


def _folded(graph: SagaGraph, participant: str, entries: Sequence[Entry]) -> Iterator[str]:
    if participant not in graph.participants:
        yield f"takes no part in {graph.name}"
        return
    replay = Replay(role_of(graph, participant))
    try:
        for entry in entries:
            replay.fold(entry)
        yield from map(str, replay.close())
    except ReplayError as error:
        yield error.message


def _known(graph: SagaGraph, entries: Sequence[Entry]) -> Iterator[str]:
    """Find events that the choreography doesn't have, or not as the outcome of that step."""
    for number, entry in enumerate(entries, 1):
        if entry.event_id and graph.outcome.get(entry.event_type) != (entry.step, entry.outcome):
            yield f"row {number}: {entry.event_type} is no event that says {entry.step} {entry.outcome}"


def _order(logs: Logs) -> list[Entry]:
    """Return the events in the topic's order, as whoever read furthest has it."""
    return max((_events(entries) for entries in logs.values()), key=len, default=[])


def _events(entries: Sequence[Entry]) -> list[Entry]:
    return [entry for entry in entries if entry.input == "event"]


def _read(entries: Sequence[Entry], order: Sequence[Entry]) -> Iterator[str]:
    """Hold what one has read against the order that all must have read in."""
    offsets = [entry.offset for entry in _events(entries)]
    if offsets != sorted(offsets):
        yield "its events do not stand in the topic's order"
    for number, (mine, everybodys) in enumerate(zip(_events(entries), order, strict=False), 1):
        if mine.event_id != everybodys.event_id or mine.offset != everybodys.offset:
            yield f"event {number} is {mine.event_type}, and {everybodys.event_type} for others"
            return


def _unpublished(graph: SagaGraph, logs: Logs, order: Sequence[Entry]) -> Iterator[Departure]:
    """Find events of the topic that their owner's log has not published."""
    published = {entry.event_id for entries in logs.values() for entry in entries if entry.input != "event"}
    for entry in order:
        owner = _owner(graph, entry)
        if owner in logs and entry.event_id not in published:
            yield Departure(owner, f"{entry.event_type} is in the log, and was never published here")


def _owner(graph: SagaGraph, entry: Entry) -> str:
    """Say who publishes an event; nobody of us for one that comes from outside of the saga."""
    if entry.outcome == TIMED_OUT:
        return next((d.participant for d in graph.deadlines if entry.event_type in d.emits.successes), "")
    step = graph.steps.get(entry.step)
    if step is None or entry.step == CANCEL or step.kind == "external":
        return ""
    return "" if entry.step == START and entry.event_type in graph.imports else step.participant
