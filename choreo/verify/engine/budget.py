"""``Budget``: the limits of the exploration of a saga; a limit that is reached is reported."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

Clock = Callable[[], float]
"""Return seconds, counted from any beginning."""


def no_clock() -> float:
    """Return no time: without a clock there is no limit of time."""
    return 0.0


class Budget(NamedTuple):
    """The limits for one saga.

    ``troubles`` is how many things may go wrong in a run: failures for good, deadlines that pass,
    cancellations. At most ``states`` are visited; the search of every order takes ``seconds`` at most.
    """

    troubles: int = 1
    states: int = 200_000
    seconds: float = 2.0


DEFAULT = Budget()


class Meter:
    """Counts what exploring a saga costs; ``exhausted`` names the limit that was reached, if one was."""

    def __init__(self, budget: Budget, clock: Clock) -> None:
        self._budget = budget
        self._clock = clock
        self._until: float | None = None
        self.states = 0
        self.exhausted = ""

    def start_clock(self) -> None:
        """Begin to measure the time."""
        self._until = self._clock() + self._budget.seconds

    def count(self, states: int = 1) -> None:
        """Add to the number of states that were visited."""
        self.states += states

    @property
    def is_empty(self) -> bool:
        """Whether a limit is reached."""
        if not self.exhausted:
            if self.states > self._budget.states:
                self.exhausted = f"{self._budget.states:,} states"
            elif self._until is not None and self._clock() > self._until:
                self.exhausted = f"{self._budget.seconds:g} s"
        return bool(self.exhausted)
