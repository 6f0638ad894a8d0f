"""``SystemClock``: the machine's time."""

from __future__ import annotations

import time


class SystemClock:
    """Implements `choreo.ports.Clock`."""

    def now(self) -> int:
        """Return the milliseconds since the epoch."""
        return time.time_ns() // 1_000_000

    def monotonic(self) -> float:
        """Return the seconds of a clock that never goes back."""
        return time.monotonic()
