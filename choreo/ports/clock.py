"""``Clock``: time, as the worker needs it."""

from __future__ import annotations

from typing import Protocol


class Clock(Protocol):
    """The time of day, and a clock for durations; the test kit's only moves when it is advanced."""

    def now(self) -> int:
        """Return the milliseconds since the epoch."""
        ...

    def monotonic(self) -> float:
        """Return the seconds of a clock that never goes back, whatever happens to the time of day."""
        ...
