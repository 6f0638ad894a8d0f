"""How much is looked at, and how much that may cost: what runs out is said, never passed over."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

Clock = Callable[[], float]
"""Gives seconds, from any beginning."""


def no_clock() -> float:
    """Give no time: what has no clock has no limit of time."""
    return 0.0


class Budget(NamedTuple):
    """The limits for one saga.

    In a run, ``troubles`` things may go wrong: failures for good, deadlines that pass, cancellations. No more
    than ``states`` are looked at; the search, which looks at orders, takes ``seconds`` at most.
    """

    troubles: int = 1
    states: int = 200_000
    seconds: float = 2.0


DEFAULT = Budget()
"""What is looked at where nothing else is asked for."""


class Meter:
    """Counts what a saga costs; ``exhausted`` says which limit was reached, if one was."""

    def __init__(self, budget: Budget, clock: Clock) -> None:
        self._budget = budget
        self._clock = clock
        self._until: float | None = None
        self.states = 0
        self.exhausted = ""

    def time(self) -> None:
        """Begin to count the time, too."""
        self._until = self._clock() + self._budget.seconds

    def count(self, states: int = 1) -> None:
        """Note how many states more were visited."""
        self.states += states

    @property
    def is_empty(self) -> bool:
        """Say whether nothing is left to spend."""
        if not self.exhausted:
            if self.states > self._budget.states:
                self.exhausted = f"{self._budget.states:,} states"
            elif self._until is not None and self._clock() > self._until:
                self.exhausted = f"{self._budget.seconds:g} s"
        return bool(self.exhausted)
