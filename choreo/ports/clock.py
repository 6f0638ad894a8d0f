"""Time, as the worker needs it."""

from __future__ import annotations

from typing import Protocol


class Clock(Protocol):
    """Tells the time; the test kit's clock only moves when told."""

    def now(self) -> int:
        """Give the milliseconds since the epoch."""
        ...

    def monotonic(self) -> float:
        """Give the seconds of a clock that never goes back, whatever happens to the other: for durations."""
        ...
