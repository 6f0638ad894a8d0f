"""``Budget``: the limits of a verification; a limit that is reached is reported, with where it was."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

Clock = Callable[[], float]
"""Return seconds, counted from any beginning."""


def no_clock() -> float:
    """Return no time: without a clock there is no limit of time."""
    return 0.0


class Budget(NamedTuple):
    """The limits of a verification.

    ``troubles`` is how many things may go wrong in a run: failures for good, deadlines that pass,
    cancellations. At most ``states`` are visited for each saga; all sagas together take ``seconds`` at most.
    """

    troubles: int = 1
    states: int = 200_000
    seconds: float = 10.0


DEFAULT = Budget()


def unlimited() -> None:
    """Let everything take as long as it takes."""


class OutOfTimeError(Exception):
    """Raised inside of a verification where a saga's time is over; `choreo.verify.verdict` ends it there."""


class Meter:
    """Counts what verifying a saga costs.

    ``exhausted`` names the limit that was reached, if one was; ``phase`` is what is being done, and
    ``stopped_in`` what was being done then.
    """

    def __init__(self, budget: Budget, clock: Clock) -> None:
        self._budget = budget
        self._clock = clock
        self._until: float | None = None
        self.states = 0
        self.exhausted = ""
        self.phase = ""
        self.stopped_in = ""

    def allow(self, seconds: float) -> None:
        """Let the saga take so many seconds from now on."""
        self._until = self._clock() + seconds

    def check(self) -> None:
        """Raise `OutOfTimeError` where the time is over: called in every loop that may become long."""
        if self._is_late:
            self._stop(f"{self._budget.seconds:g} s")
            raise OutOfTimeError

    def count(self, states: int = 1) -> None:
        """Add to the number of states that were visited."""
        self.states += states

    @property
    def is_empty(self) -> bool:
        """Whether a limit is reached."""
        if not self.exhausted:
            if self.states > self._budget.states:
                self._stop(f"{self._budget.states:,} states")
            elif self._is_late:
                self._stop(f"{self._budget.seconds:g} s")
        return bool(self.exhausted)

    @property
    def _is_late(self) -> bool:
        return self._until is not None and self._clock() > self._until

    def _stop(self, limit: str) -> None:
        if not self.exhausted:
            self.exhausted, self.stopped_in = limit, self.phase
