"""The system's clock."""

from __future__ import annotations

import time


class SystemClock:
    """Tells the machine's time; implements `choreo.ports.Clock`."""

    def now(self) -> int:
        """Give the milliseconds since the epoch."""
        return time.time_ns() // 1_000_000

    def monotonic(self) -> float:
        """Give the seconds of a clock that never goes back."""
        return time.monotonic()
