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
    cancellations. At most ``states`` are visited for each saga. All sagas together take ``seconds`` at most,
    which is only a bound for machines that are too slow: a verdict that it cuts off depends on the machine.
    """

    troubles: int = 1
    states: int = 200_000
    seconds: float = 300.0


DEFAULT = Budget()

LOOKS = 20
"""The rules may look at a saga's graph so many times for each state that may be visited, and `FEW` times."""

FEW = 10_000


class ExhaustedError(Exception):
    """Raised inside of a verification where a limit is reached; `choreo.verify.verdict` ends it there."""


class Meter:
    """Counts what verifying a saga costs.

    ``exhausted`` names the limit that was reached, if one was; ``phase`` is what is being done, and
    ``stopped_in`` what was being done then.
    """

    def __init__(self, budget: Budget, clock: Clock) -> None:
        self._budget = budget
        self._clock = clock
        self._until = clock() + budget.seconds
        self._looks = 0
        self.states = 0
        self.exhausted = ""
        self.phase = ""
        self.stopped_in = ""

    def check(self) -> None:
        """Raise `ExhaustedError` where a limit is reached: called in every loop that may become long."""
        self._looks += 1
        if self._looks > FEW + LOOKS * self._budget.states:
            self._stop(f"{FEW + LOOKS * self._budget.states:,} looks at the graph")
        elif self._is_late:
            self._stop(f"{self._budget.seconds:g} s")
        else:
            return
        raise ExhaustedError

    def count(self, states: int = 1) -> None:
        """Add to the number of states that were visited."""
        self.states += states

    def start_again(self, states: int) -> None:
        """Count anew from so many states: what was visited since is visited again."""
        self.states, self.exhausted, self.stopped_in = states, "", ""

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
        return self._clock() > self._until

    def _stop(self, limit: str) -> None:
        if not self.exhausted:
            self.exhausted, self.stopped_in = limit, self.phase
