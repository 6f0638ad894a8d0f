"""How often and how fast a failed attempt is repeated."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from choreo.errors import DeclarationError


@dataclass(frozen=True)
class Retry:
    """Exponential backoff: ``attempts`` in all, the first pause ``delay``, each next ``factor`` times longer.

    No pause is longer than ``longest``. The default is the field's: five attempts, 10 s doubling.
    Raises `DeclarationError` for numbers that make no sense.

    >>> [Retry(delay=timedelta(seconds=10)).pause(attempt).total_seconds() for attempt in (1, 2, 3)]
    [10.0, 20.0, 40.0]
    """

    attempts: int = 5
    delay: timedelta = timedelta(seconds=10)
    factor: float = 2.0
    longest: timedelta = timedelta(minutes=10)

    def __post_init__(self) -> None:
        if self.attempts < 1:
            raise DeclarationError(f"Retry(attempts={self.attempts}): at least one attempt is needed")
        if self.delay < timedelta(0) or self.longest < self.delay:
            raise DeclarationError("Retry: the pauses must satisfy 0 <= delay <= longest")
        if self.factor < 1:
            raise DeclarationError(f"Retry(factor={self.factor}): pauses must not shrink")

    def pause(self, attempt: int) -> timedelta:
        """Give the pause after attempt number ``attempt`` (the first is 1)."""
        # The exponent is bounded because a retriable step counts its attempts without end.
        return min(self.delay * self.factor ** min(attempt - 1, 64), self.longest)
