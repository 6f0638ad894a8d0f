"""``Clock``: the interface of the worker to time."""

from __future__ import annotations

from typing import Protocol


class Clock(Protocol):
    """The time of day, and a monotonic clock for durations."""

    def now(self) -> int:
        """Return the milliseconds since the epoch."""
        ...

    def monotonic(self) -> float:
        """Return the seconds of a clock that never goes back, unlike the time of day."""
        ...
