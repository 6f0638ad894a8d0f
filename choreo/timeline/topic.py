"""The topics of sagas as a `Source`: their events, folded by a participant that handles none of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from choreo.envelope import Envelope
from choreo.protocol import Contract, Ignored, Instance, Role, fold_into
from choreo.records import Entry
from choreo.timeline.events import Place
from choreo.timeline.source import MemorySource

NOBODY = ""
"""The participant of the views that are read from the topics."""


class TopicEvent(NamedTuple):
    """A record that is an event of a saga: its headers, its place, and the record's time."""

    envelope: Envelope
    place: Place
    time: int


def topic_source(contracts: Mapping[str, Contract], events: Iterable[TopicEvent]) -> MemorySource:
    """Return a source made from events; those of sagas whose types are not in ``contracts`` are left out."""
    path = f"the topics of {', '.join(sorted(contracts))}"
    return MemorySource(NOBODY, path, _rows(contracts, events))


def _rows(contracts: Mapping[str, Contract], events: Iterable[TopicEvent]) -> Iterator[tuple[int, Entry]]:
    sagas: dict[tuple[str, str], list[TopicEvent]] = {}
    last: dict[tuple[str, str], int] = {}
    for number, event in enumerate(events):
        if event.envelope.saga_type in contracts:
            key = (event.envelope.saga_type, event.envelope.saga_id)
            sagas.setdefault(key, []).append(event)
            last[key] = number
    for key, found in sagas.items():
        for entry in _folded(contracts[key[0]], found):
            yield last[key], entry


def _folded(contract: Contract, events: Iterable[TopicEvent]) -> list[Entry]:
    """Return the rows that a participant that handles none of the events would have in its saga log."""
    nobody, saga = Role(NOBODY, contract), Instance()
    rows = []
    for event, place, time in events:
        before = saga.state_of(event.step)
        decisions = fold_into(nobody, saga, event)
        if Ignored("duplicate") not in decisions:
            void = Ignored("void") in decisions
            after = before if void else saga.state_of(event.step)
            rows.append(_row(event, place, time, saga.state, (before, after), "void" if void else ""))
    return rows


def _row(event: Envelope, place: Place, time: int, state: str, move: tuple[str, str], note: str) -> Entry:
    return Entry(
        event.saga_id,
        event.saga_type,
        event.saga_version,
        state,
        time,
        "event",
        event.step,
        *move,
        event.id,
        event.type,
        event.outcome,
        event.kind,
        event.source,
        event.causation_id,
        place.topic,
        place.partition,
        place.offset,
        time,
        None,
        note,
        event.traceparent,
    )
