"""``VirtualClock``: time that passes only when the simulation lets it."""

from __future__ import annotations

NOON = 1_700_000_000_000
"""When every simulation begins, in milliseconds since the epoch."""


class VirtualClock:
    """Implements `choreo.ports.Clock`.

    >>> clock = VirtualClock()
    >>> begun = clock.now()
    >>> clock.advance(1.5)
    >>> clock.now() - begun
    1500
    """

    def __init__(self, now: int = NOON) -> None:
        self._now = now

    def now(self) -> int:
        """Give the milliseconds since the epoch."""
        return self._now

    def monotonic(self) -> float:
        """Give the time in seconds: no turn is ever cut short by a slow machine."""
        return self._now / 1000

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self._now += round(seconds * 1000)

    def advance_to(self, time: int) -> None:
        """Let time pass until ``time`` (ms); it never goes back."""
        self._now = max(self._now, time)
