"""The sagas' topics as a source: what lies there, folded by nobody's role."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from choreo.entry import Entry
from choreo.envelope import Envelope
from choreo.protocol import Contract, Ignored, Instance, Role, fold_into
from choreo.story.account import Account
from choreo.story.head import Head
from choreo.story.moment import Place

LOG = ""
"""The participant that the topic's own account is of: nobody."""


class Event(NamedTuple):
    """A record that is an event of a saga: its headers, its place, its record's time."""

    envelope: Envelope
    place: Place
    time: int


class Topics:
    """What the topics of some sagas hold; ``contracts`` say how each saga starts and ends.

    Events of other sagas, and records that aren't any, are passed over: they are nobody's story.
    """

    participant = LOG

    def __init__(self, contracts: Mapping[str, Contract], events: Iterable[Event]) -> None:
        self._contracts = contracts
        self._events: dict[str, list[Event]] = {}
        self._last: dict[str, int] = {}
        for number, event in enumerate(events):
            if event.envelope.saga_type in contracts:
                saga_id = event.envelope.saga_id
                self._events.setdefault(saga_id, []).append(event)
                self._last[saga_id] = number

    @property
    def path(self) -> str:
        """What to call it in a message."""
        return f"the topics of {', '.join(sorted(self._contracts))}"

    def accounts(self, saga_id: str) -> dict[str, Account]:
        """Give what the log says of a saga, by the type of saga."""
        found: dict[str, list[Event]] = {}
        for event in self._events.get(saga_id, ()):
            found.setdefault(event.envelope.saga_type, []).append(event)
        return {
            name: Account(LOG, _folded(self._contracts[name], events), source=self.path)
            for name, events in found.items()
        }

    def latest(self) -> Iterator[Head]:
        """Give the sagas in the order in which they moved last, the newest first."""
        for saga_id in sorted(self._last, key=self._last.__getitem__, reverse=True):
            yield self._head(saga_id)

    def going_on(self) -> Iterator[Head]:
        """Give the sagas that have not ended, those that moved longest ago first."""
        heads = (self._head(saga_id) for saga_id in sorted(self._last, key=self._last.__getitem__))
        return (head for head in heads if head.state not in ("completed", "failed"))

    def near(self, saga_id: str, limit: int) -> Sequence[str]:
        """Give ids that share the beginning of an unknown one, and the latest."""
        alike = [each for each in self._events if each[:3] == saga_id[:3]]
        return [*alike[:limit], *list(self._events)[-limit:]]

    def _head(self, saga_id: str) -> Head:
        (saga_type, account), *_ = self.accounts(saga_id).items()
        last = account.entries[-1]
        return Head(self._last[saga_id], saga_id, saga_type, last.saga_state, last.recorded_at)


def _folded(contract: Contract, events: Iterable[Event]) -> list[Entry]:
    """Give the rows that somebody would have who handles none of the events."""
    nobody, saga = Role(LOG, contract), Instance()
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
