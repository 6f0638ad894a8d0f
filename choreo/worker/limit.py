"""Until when a call may last, and the heartbeat that moves it."""

from __future__ import annotations

from datetime import timedelta

from choreo.ports import Clock


class Limit:
    """The time at which one call is given up, in milliseconds since the epoch; None where it never is.

    ``extend`` is for the handler, in its own thread; the rest is for the worker's. What was asked for holds
    once the worker has committed it.
    """

    def __init__(self, until: int | None, clock: Clock) -> None:
        self.until = until
        self.is_over = False
        self._asked = 0
        self._clock = clock

    @property
    def asked(self) -> int:
        """The later time that was asked for and doesn't hold yet; 0 where none was."""
        return self._asked if self.until is not None and self._asked > self.until else 0

    def extend(self, by: timedelta) -> None:
        """Ask for time until ``by`` from now. Raises `TimeoutError` once the call was given up."""
        if self.is_over:
            raise TimeoutError("the step has been given up: its time was over")
        self._asked = max(self._asked, self._clock.now() + round(by.total_seconds() * 1000))
