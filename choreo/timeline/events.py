"""``Event``: the events of a saga in the order of its topic, read from all participants' rows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from choreo.events import short_name
from choreo.outcome import COMPENSATED, FAILED, TIMED_OUT
from choreo.records import Entry
from choreo.timeline.participant_view import ParticipantView


class Place(NamedTuple):
    """The place of an event on a topic; only places in one partition are ordered."""

    topic: str
    partition: int
    offset: int


class Event(NamedTuple):
    """An event on the topic, or one that is not published yet (``place`` is then None).

    ``time`` is the time of its record, in milliseconds since the epoch. ``read`` maps each participant that
    has folded the event to the time when it did, by its own clock. ``void`` is the reason why the event is
    void, empty for an event that counts.
    """

    id: str
    type: str
    step: str
    outcome: str
    kind: str
    source: str
    cause: str
    time: int
    place: Place | None = None
    read: Mapping[str, int] = {}
    void: str = ""

    @property
    def name(self) -> str:
        """The event type without its namespace."""
        return short_name(self.type)

    @property
    def at(self) -> str:
        """The offset as ``@42``, empty for an event that is not on the topic yet."""
        return "" if self.place is None else f"@{self.place.offset}"


def events_of(views: Iterable[ParticipantView]) -> list[Event]:
    """Return the events on the topic, in its order."""
    first: dict[str, Entry] = {}
    read: dict[str, dict[str, int]] = {}
    void: set[str] = set()
    for view in views:
        for entry in view.entries:
            if entry.input != "event":
                continue
            known = first.get(entry.event_id)
            if known is None or place_of(entry) < place_of(known):
                first[entry.event_id] = entry
            readers = read.setdefault(entry.event_id, {})
            if view.participant:  # else it is the topic's own view, and nobody has read it yet
                readers.setdefault(view.participant, entry.recorded_at)
            if entry.note == "void":
                void.add(entry.event_id)
    rows = sorted(first.values(), key=place_of)
    reasons = _void_reasons(rows, void)
    return [
        event_of(row)._replace(
            place=place_of(row), read=read[row.event_id], void=reasons.get(row.event_id, "")
        )
        for row in rows
    ]


def event_names(types: Iterable[str], joint: str = " or ") -> str:
    """Return event types without their namespaces, as one text for people."""
    return joint.join(short_name(name) for name in types)


def event_of(entry: Entry) -> Event:
    """Return the event that a row published or recorded, without its place."""
    return Event(
        entry.event_id,
        entry.event_type,
        entry.step,
        entry.outcome,
        entry.kind,
        entry.source,
        entry.causation_id,
        entry.event_time,
    )


def place_of(entry: Entry) -> Place:
    """Return the place of the event that a row records."""
    return Place(entry.topic, entry.partition, entry.offset)


def _void_reasons(rows: Sequence[Entry], void: set[str]) -> dict[str, str]:
    """Return why each void event is void: another outcome of its step, or the end, came first (R3, R8)."""
    reasons: dict[str, str] = {}
    outcomes: dict[str, Entry] = {}
    failing: Entry | None = None
    end = ""
    for row in rows:
        key = f"{row.step} {COMPENSATED}" if row.outcome == COMPENSATED else row.step
        if row.event_id in void:
            reasons[row.event_id] = end or _void_because(outcomes.get(key), failing)
            continue
        outcomes.setdefault(key, row)
        if row.outcome in (FAILED, TIMED_OUT):
            failing = failing or row
        if not end and row.saga_state in ("completed", "failed"):
            end = f"the saga had {row.saga_state} before, @{row.offset}"
    return reasons


def _void_because(earlier: Entry | None, failing: Entry | None) -> str:
    if earlier is not None:
        return f"the step {_verb(earlier.outcome)} before, @{earlier.offset}"
    if failing is not None:
        return (
            f"it can't complete the saga: {failing.step} {_verb(failing.outcome)} before, @{failing.offset}"
        )
    return "nothing waits for it"


def _verb(outcome: str) -> str:
    return {"compensated": "was compensated", "timed_out": "timed out"}.get(outcome, outcome)
