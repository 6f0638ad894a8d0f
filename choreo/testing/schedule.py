"""``Schedule``: the choices of a simulation as text, which reproduces a run, and the shrinking of one.

Source of the shrinking: Zeller and Hildebrandt, *Simplifying and isolating failure-inducing input* (2002),
"ddmin".
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple, Protocol

from choreo.errors import ConfigurationError
from choreo.testing.moves import Move

_WEIGHTS = {"time passes": 1, "crashes": 1, "is repeated": 1, "is released": 1, "fails": 2}
_USUAL = 10
"""The weight of a move of work, compared with those of faults and of the passing of time."""


class Chooser(Protocol):
    """Chooses between moves; the first is the calm one."""

    def choose(self, moves: Sequence[Move]) -> int:
        """Return the index of one of at least two moves."""
        ...


class Calm:
    """Chooses the first move, so that everything is delivered and handled at once, and nothing fails."""

    def choose(self, moves: Sequence[Move]) -> int:
        """Return 0."""
        del moves
        return 0


class Seeded:
    """Chooses at random, reproducibly by its seed."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def choose(self, moves: Sequence[Move]) -> int:
        """Return a random index; faults and the passing of time are chosen less often than work."""
        weights = [_WEIGHTS.get(move.what, _USUAL) for move in moves]
        return self._random.choices(range(len(moves)), weights)[0]


class Schedule(NamedTuple):
    """The choices in which a simulation differs from the calm one, by the number of the decision.

    Its text ``"3:1 17:2"`` means the second possible move at decision 3, and the third at decision 17.

    >>> Schedule.parse("3:1 17:2").differs
    ((3, 1), (17, 2))
    >>> str(Schedule.parse(" 17:2 "))
    '17:2'
    """

    differs: tuple[tuple[int, int], ...] = ()

    @classmethod
    def parse(cls, text: str) -> Schedule:
        """Parse a schedule. Raises `ConfigurationError` for what isn't one."""
        try:
            pairs = [part.split(":") for part in text.split()]
            return cls.of({int(place): int(choice) for place, choice in pairs})
        except ValueError:
            raise ConfigurationError(
                f"{text[:80]!r} is not a schedule", hint='copy it as it was printed: "3:1 17:2"'
            ) from None

    @classmethod
    def of(cls, differs: dict[int, int]) -> Schedule:
        """Return the schedule of these choices by decision, without the calm ones."""
        return cls(tuple(sorted((place, choice) for place, choice in differs.items() if choice)))

    def __str__(self) -> str:
        return " ".join(f"{place}:{choice}" for place, choice in self.differs)


class Scripted:
    """Follows a schedule, and makes the calm move where it has none."""

    def __init__(self, schedule: Schedule) -> None:
        self._differs = dict(schedule.differs)
        self._place = -1

    def choose(self, moves: Sequence[Move]) -> int:
        """Return the schedule's choice, at most the last move."""
        self._place += 1
        return min(self._differs.get(self._place, 0), len(moves) - 1)


class Recording:
    """Keeps the choices of another chooser as a schedule."""

    def __init__(self, chooser: Chooser) -> None:
        self._chooser = chooser
        self._chosen: list[int] = []

    def choose(self, moves: Sequence[Move]) -> int:
        """Return the other's choice; a single move is no decision."""
        if len(moves) == 1:
            return 0
        choice = self._chooser.choose(moves)
        self._chosen.append(choice)
        return choice

    @property
    def schedule(self) -> Schedule:
        """The choices so far."""
        return Schedule.of(dict(enumerate(self._chosen)))


_MOST_RUNS = 400
_SHIFTS = (0, -1, 1, -2, 2, -3, 3, -4, 4, -5, 5, -6, 6)


def shrink(
    schedule: Schedule, fails: Callable[[Schedule], bool], has_time: Callable[[], bool] = lambda: True
) -> Schedule | None:
    """Return a minimal schedule that still fails, None where this one doesn't fail.

    It is the shortest one found so far where there is no more time, or after 400 runs.

    >>> found = shrink(Schedule.parse("1:2 3:1 4:1 9:3"), lambda tried: (4, 1) in tried.differs)
    >>> str(found)
    '4:1'
    """
    if not fails(schedule):
        return None
    runs = _Runs(fails, has_time)
    parts = 2
    while len(schedule.differs) > 1 and parts <= len(schedule.differs):
        shorter = _without_a_part(schedule, parts, runs)
        schedule, parts = (shorter, max(parts - 1, 2)) if shorter else (schedule, parts * 2)
    return _lowered(_one_by_one(schedule, runs), runs)


class _Runs:
    """Checks whether a schedule fails, a limited number of times, and while there is time."""

    def __init__(self, fails: Callable[[Schedule], bool], has_time: Callable[[], bool]) -> None:
        self._fails = fails
        self._has_time = has_time
        self._left = _MOST_RUNS

    def still_fails(self, schedule: Schedule) -> bool:
        self._left -= 1
        return self._left >= 0 and self._has_time() and self._fails(schedule)


def _without_a_part(schedule: Schedule, parts: int, runs: _Runs) -> Schedule | None:
    size = -(-len(schedule.differs) // parts)
    for begin in range(0, len(schedule.differs), size):
        rest = Schedule((*schedule.differs[:begin], *schedule.differs[begin + size :]))
        if runs.still_fails(rest):
            return rest
    return None


def _one_by_one(schedule: Schedule, runs: _Runs) -> Schedule:
    """Leave out single differences until none can be left out any more."""
    place = len(schedule.differs) - 1
    while place >= 0:
        shorter = next((each for each in _without(schedule, place) if runs.still_fails(each)), None)
        if shorter is not None:
            schedule, place = shorter, len(shorter.differs)
        place -= 1
    return schedule


def _without(schedule: Schedule, place: int) -> Iterator[Schedule]:
    """Yield the schedules without one difference, the later ones also shifted by a few decisions."""
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
