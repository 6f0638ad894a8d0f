"""``Retry``: the number of attempts of a handler, and the pauses between them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import timedelta

from choreo.errors import DeclarationError


@dataclass(frozen=True)
class Retry:
    """Exponential backoff: ``attempts`` in all, the first pause ``delay``, each next ``factor`` times longer.

    No pause is longer than ``longest``. After the last attempt (the 5th where ``attempts`` is None) an action
    fails; a compensation, an observer or a deadline becomes a dead letter. A retriable action is retried
    until it succeeds, so its own ``retry=`` takes no ``attempts``. Raises `DeclarationError` for numbers out
    of range. Source: Metcalfe and Boggs, *Ethernet* (1976), "binary
    exponential backoff".

    >>> [Retry(delay=timedelta(seconds=10)).pause(attempt).total_seconds() for attempt in (1, 2, 3)]
    [10.0, 20.0, 40.0]
    """

    attempts: int | None = None
    delay: timedelta = timedelta(seconds=10)
    factor: float = 2.0
    longest: timedelta = timedelta(minutes=10)

    def __post_init__(self) -> None:
        if self.attempts is not None and (type(self.attempts) is not int or self.attempts < 1):
            raise DeclarationError(
                f"Retry(attempts={self.attempts!r}): at least one attempt is needed", hint="attempts=5"
            )
        for name in ("delay", "longest"):
            pause = getattr(self, name)
            if not isinstance(pause, timedelta):
                raise DeclarationError(
                    f"Retry({name}={pause!r}): the pauses are not timedeltas",
                    hint="delay=timedelta(seconds=10)",
                )
        if self.delay < timedelta(0) or self.longest < self.delay:
            raise DeclarationError(
                f"Retry(delay={self.delay}, longest={self.longest}): the pauses make no sense",
                hint="0 <= delay <= longest",
            )
        if isinstance(self.factor, bool) or not (
            isinstance(self.factor, int | float) and 1 <= self.factor < math.inf
        ):
            raise DeclarationError(
                f"Retry(factor={self.factor!r}): pauses must not shrink", hint="a number, 1 or more"
            )

    @property
    def most(self) -> int:
        """The number of attempts in all."""
        return 5 if self.attempts is None else self.attempts

    def pause(self, attempt: int) -> timedelta:
        """Return the pause after attempt number ``attempt`` (the first is 1)."""
        if not self.delay:
            return self.delay
        # Logarithms, since the attempts of a retriable step have no bound and the power could overflow.
        growth = (attempt - 1) * math.log(self.factor)
        if growth >= math.log(self.longest / self.delay):
            return self.longest
        return self.delay * self.factor ** (attempt - 1)
