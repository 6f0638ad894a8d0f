"""A saga's timeline: every participant's saga log, merged into one table.

A participant also notes what the others did; that is left out, so each step is told once, by its owner.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from choreo.event import short_name
from choreo.ports import Entry


class Line(NamedTuple):
    """One transition of one step; ``ms`` counts from the start of the saga."""

    ms: int
    participant: str
    step: str
    old_state: str
    new_state: str
    event: str


def timeline(histories: Mapping[str, Sequence[Entry]]) -> list[Line]:
    """Merge the histories of one saga, in order of time; equal times in the order of the saga's topic."""
    seen = [(name, *each) for name, entries in histories.items() for each in _own(entries)]
    seen.sort(key=lambda each: (each[1].recorded_at, each[2].offset))
    start = seen[0][1].recorded_at if seen else 0
    return [
        Line(
            entry.recorded_at - start,
            name,
            entry.step.removeprefix(f"{name}."),
            entry.old_state,
            entry.new_state,
            _event(entry, cause),
        )
        for name, entry, cause in seen
    ]


_NOTHING = Entry("", "", 0, "", 0, "", "", "", "")


def _own(entries: Sequence[Entry]) -> Iterator[tuple[Entry, Entry]]:
    """Give the transitions that happened here, each with the event of the topic that led to it."""
    events = {entry.event_id: entry for entry in entries if entry.input == "event"}
    last = _NOTHING
    for entry in entries:
        if entry.input == "event":
            last = entry
        elif _tells(entry):
            yield entry, events.get(entry.causation_id, last)


def _tells(entry: Entry) -> bool:
    """Say whether anything changed or was published: that an attempt begins is not worth a line."""
    return entry.old_state != entry.new_state or bool(entry.event_id) or entry.input == "deferred"


def _event(entry: Entry, cause: Entry) -> str:
    """Say what a transition published, else what caused it."""
    if entry.input == "deferred":
        return f"{entry.note}: will be tried again"
    published = short_name(entry.event_type) if entry.event_id else f"on {short_name(cause.event_type)}"
    return f"{published} ({entry.note})" if entry.note else published
