"""Shrinking a schedule: fewer and smaller differences from the calm one, as long as it still fails.

Source: Zeller and Hildebrandt, *Simplifying and isolating failure-inducing input* (2002), "ddmin".
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from choreo.testing.choices import Schedule

_MOST_RUNS = 400
_SHIFTS = (0, -1, 1, -2, 2, -3, 3, -4, 4, -5, 5, -6, 6)


def shrink(schedule: Schedule, fails: Callable[[Schedule], bool]) -> Schedule | None:
    """Give a schedule from which no single difference can be left out; None where this one doesn't fail.

    >>> found = shrink(Schedule.parse("1:2 3:1 4:1 9:3"), lambda tried: (4, 1) in tried.differs)
    >>> str(found)
    '4:1'
    """
    if not fails(schedule):
        return None
    runs = _Runs(fails)
    parts = 2
    while len(schedule.differs) > 1 and parts <= len(schedule.differs):
        shorter = _without_a_part(schedule, parts, runs)
        schedule, parts = (shorter, max(parts - 1, 2)) if shorter else (schedule, parts * 2)
    return _lowered(_one_by_one(schedule, runs), runs)


class _Runs:
    """Asks whether a schedule fails, so often at most as can be waited for."""

    def __init__(self, fails: Callable[[Schedule], bool]) -> None:
        self._fails = fails
        self._left = _MOST_RUNS

    def still_fails(self, schedule: Schedule) -> bool:
        self._left -= 1
        return self._left >= 0 and self._fails(schedule)


def _without_a_part(schedule: Schedule, parts: int, runs: _Runs) -> Schedule | None:
    size = -(-len(schedule.differs) // parts)
    for begin in range(0, len(schedule.differs), size):
        rest = Schedule((*schedule.differs[:begin], *schedule.differs[begin + size :]))
        if runs.still_fails(rest):
            return rest
    return None


def _one_by_one(schedule: Schedule, runs: _Runs) -> Schedule:
    """Leave single differences out until none can be left out any more."""
    place = len(schedule.differs) - 1
    while place >= 0:
        shorter = next((each for each in _without(schedule, place) if runs.still_fails(each)), None)
        if shorter is not None:
            schedule, place = shorter, len(shorter.differs)
        place -= 1
    return schedule


def _without(schedule: Schedule, place: int) -> Iterator[Schedule]:
    """Leave one difference out; what follows it may so happen a few decisions earlier or later."""
    earlier, later = schedule.differs[:place], schedule.differs[place + 1 :]
    for shift in _SHIFTS if later else (0,):
        moved = [(at + shift, choice) for at, choice in later]
        if shift == 0 or moved[0][0] > max((at for at, _ in earlier), default=-1):
            yield Schedule((*earlier, *moved))


def _lowered(schedule: Schedule, runs: _Runs) -> Schedule:
    for place, choice in schedule.differs:
        for lower in range(1, choice):
            tried = Schedule.of({**dict(schedule.differs), place: lower})
            if runs.still_fails(tried):
                schedule = tried
                break
    return schedule
