"""Choices: what decides where a simulation could go on in several ways, and the schedule that it leaves."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

from choreo.errors import ConfigurationError


class Move(NamedTuple):
    """One small step of a simulation: what happens, and to which participant."""

    what: str
    who: str = ""

    def __str__(self) -> str:
        return f"{self.who}: {self.what}" if self.who else self.what


_WEIGHTS = {"time passes": 1, "crashes": 1, "is repeated": 1, "fails": 2}
_USUAL = 10
"""How much likelier than time or a fault it is that work goes on."""


class Chooser(Protocol):
    """Decides between moves; the first is what a calm world does."""

    def choose(self, moves: Sequence[Move]) -> int:
        """Give the index of one of at least two moves."""
        ...


class Calm:
    """Does the first thing that can be done: everything is delivered and handled at once, nothing fails."""

    def choose(self, moves: Sequence[Move]) -> int:
        """Give 0."""
        del moves
        return 0


class Seeded:
    """Goes a random way; the same seed goes the same way."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def choose(self, moves: Sequence[Move]) -> int:
        """Choose by chance, faults and the passing of time less often than work."""
        weights = [_WEIGHTS.get(move.what, _USUAL) for move in moves]
        return self._random.choices(range(len(moves)), weights)[0]


class Schedule(NamedTuple):
    """Where a run differs from the calm one: at which decision it went which other way.

    It is written ``"3:1 17:2"``: at decision 3 the second move that could be made, at decision 17 the third.

    >>> Schedule.parse("3:1 17:2").differs
    ((3, 1), (17, 2))
    >>> str(Schedule.parse(" 17:2 "))
    '17:2'
    """

    differs: tuple[tuple[int, int], ...] = ()

    @classmethod
    def parse(cls, text: str) -> Schedule:
        """Read a schedule. Raises `ConfigurationError` for what isn't one."""
        try:
            pairs = [part.split(":") for part in text.split()]
            return cls.of({int(place): int(choice) for place, choice in pairs})
        except ValueError:
            raise ConfigurationError(
                f"{text[:80]!r} is not a schedule", hint='copy it as it was printed: "3:1 17:2"'
            ) from None

    @classmethod
    def of(cls, differs: dict[int, int]) -> Schedule:
        """Make one of decisions and what was chosen there; what is calm is left out."""
        return cls(tuple(sorted((place, choice) for place, choice in differs.items() if choice)))

    def __str__(self) -> str:
        return " ".join(f"{place}:{choice}" for place, choice in self.differs)


class Scripted:
    """Follows a schedule, and is calm where it says nothing."""

    def __init__(self, schedule: Schedule) -> None:
        self._differs = dict(schedule.differs)
        self._place = -1

    def choose(self, moves: Sequence[Move]) -> int:
        """Give what the schedule says, as far as there are so many moves."""
        self._place += 1
        return min(self._differs.get(self._place, 0), len(moves) - 1)


class Drawn:
    """Asks a function for each choice, which is given the last index: it may draw with hypothesis."""

    def __init__(self, draw: Callable[[int], int]) -> None:
        self._draw = draw

    def choose(self, moves: Sequence[Move]) -> int:
        """Draw one."""
        return self._draw(len(moves) - 1)


class Recorded:
    """Lets another decide, and notes what it decided; ``ways`` says how many moves each decision had."""

    def __init__(self, chooser: Chooser) -> None:
        self._chooser = chooser
        self.ways: list[int] = []
        self.chosen: list[int] = []

    def choose(self, moves: Sequence[Move]) -> int:
        """Pass the choice on; where there is one move there is none."""
        if len(moves) == 1:
            return 0
        choice = self._chooser.choose(moves)
        self.ways.append(len(moves))
        self.chosen.append(choice)
        return choice

    @property
    def schedule(self) -> Schedule:
        """The way so far."""
        return Schedule.of(dict(enumerate(self.chosen)))
