"""``Patience``: waits while the store is locked, full or failing, longer each time, and says so."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import TypeVar

from choreo.errors import StoreChanged, StoreUnavailable
from choreo.ports import Clock
from choreo.worker.progress import Progress

T = TypeVar("T")

log = logging.getLogger("choreo.worker")

_FIRST, _LONGEST = 0.01, 1.0
"""The pauses, in seconds: each is twice as long as the one before."""

_SAID_EACH = 60.0
"""A store that stays away is said again after so many seconds."""


class Patience:
    """Waits for the store of one participant; for the worker's thread. ``stopping`` cuts a wait short."""

    def __init__(
        self, participant: str, clock: Clock, stopping: threading.Event, progress: Progress | None = None
    ) -> None:
        self._progress = progress or Progress()
        self._participant = participant
        self._clock = clock
        self._stopping = stopping
        self._pause = _FIRST
        self._said = 0.0

    def wait(self, error: StoreUnavailable) -> None:
        """Wait a while, and log the error: the first time, and then rarely. `StoreChanged` is over."""
        if isinstance(error, StoreChanged):
            return
        now = self._clock.monotonic()
        if self._progress.away is None or now - self._said >= _SAID_EACH:
            self._said = now
            log.warning("%s: waits for its store, and keeps what it has: %s", self._participant, error)
        self._progress.wait(now)
        self._stopping.wait(self._pause)
        self._pause = min(2 * self._pause, _LONGEST)

    def end(self) -> None:
        """Note that the store is there."""
        away = self._progress.away
        if away is None:
            return
        now = self._clock.monotonic()
        log.warning("%s: its store is there again, after %.1f s", self._participant, now - away)
        self._progress.is_there(now)
        self._pause = _FIRST

    def until_done(self, work: Callable[[], T], seconds: float = float("inf")) -> T:
        """Return the result of ``work``, which is repeated until the store is there.

        Raises `StoreUnavailable` after so many seconds, or once the worker is stopping.
        """
        give_up = self._clock.monotonic() + seconds
        while True:
            try:
                result = work()
            except StoreUnavailable as error:
                is_over = self._clock.monotonic() >= give_up
                if is_over or (self._stopping.is_set() and seconds == float("inf")):
                    raise
                self.wait(error)
            else:
                self.end()
                return result
