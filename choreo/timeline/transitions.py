"""When a saga moved last, as far as clocks that differ can tell.

A participant whose clock is ahead must not make a saga look younger than it is. So an event counts from the
earliest time that anybody gives for it, the topic's own included, and what a participant did after it from
that time on, by the time that has passed on the participant's own clock.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from choreo.records import Entry
from choreo.timeline.participant_view import ParticipantView

WRONG_MS: Final = 60_000
"""A time so many milliseconds ahead of the present is that of a clock which is wrong."""


def is_still(idle: int, after: int) -> bool:
    """Whether nothing has happened for ``after`` milliseconds, or it can't be told for how long.

    ``idle`` is the time since the last transition. Where it is below zero, some clock is wrong.

    >>> [is_still(idle, 600_000) for idle in (600_000, 599_999, -1_000, -3_600_000)]
    [True, False, False, True]
    """
    return idle >= after or idle <= -WRONG_MS


def moved_at(views: Iterable[ParticipantView]) -> int:
    """Return when a saga had its last transition, in milliseconds since the epoch; each view has rows."""
    sides = [view.entries for view in views]
    folded: dict[str, int] = {}
    for entry in (each for side in sides for each in side if each.input == "event"):
        at = min(entry.recorded_at, entry.event_time)
        folded[entry.event_id] = min(at, folded.get(entry.event_id, at))
    return max(_in_one(side, folded) for side in sides)


def _in_one(entries: Sequence[Entry], folded: Mapping[str, int]) -> int:
    at, late = entries[-1].recorded_at, 0
    for entry in entries:
        if entry.input == "event" and entry.note != "void":
            late = entry.recorded_at - folded[entry.event_id]
        if entry.is_transition:
            at = entry.recorded_at - late
    return at
