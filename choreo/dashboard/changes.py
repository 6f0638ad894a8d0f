"""``Changes``: tells browsers that something has changed, so that they ask for the page again."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from threading import Lock
from typing import Final

import anyio
from anyio.to_thread import run_sync

from choreo.dashboard.settings import Settings
from choreo.dashboard.stores import Stores
from choreo.errors import ChoreoError

_PERIOD: Final = 2.0
"""Seconds between two looks at the stores, however many browsers are told."""

_STEP: Final = 0.1
"""Seconds after which a stream notices that it is to end."""

_LIFE: Final = 25.0
"""Seconds that a stream lasts, as some servers end only after all of them; browsers come again."""

MOST: Final = 32
"""Streams at the same time."""


class Changes:
    """What the streams of one application share."""

    def __init__(self, settings: Settings, stores: Stores) -> None:
        self._stores = stores
        self._settings = settings
        self._lock = Lock()
        self._looked_at = float("-inf")
        self._mark = ""
        self.streams = 0

    def mark(self) -> str:
        """Return a text that is another one once something has changed; looks at the stores now and then."""
        with self._lock:
            if time.monotonic() - self._looked_at >= _PERIOD:
                self._mark = self._look()
                self._looked_at = time.monotonic()
            return self._mark

    def _look(self) -> str:
        try:
            with self._stores.open() as shown:
                found = [(each.path, each.store.last_row(), each.store.depths()) for each in shown.read]
                return f"{found} {[(each.path, each.error.message) for each in shown.away]}"
        except ChoreoError as error:
            return str(error)

    async def stream(self) -> AsyncIterator[bytes]:
        """Yield a line of an event stream for each change, until the page stops or it has lasted long."""
        self.streams += 1
        try:
            yield b"retry: 1000\n\n"
            known = await run_sync(self.mark)
            end = next_look = time.monotonic() + _LIFE
            next_look -= _LIFE - _PERIOD
            while not self._settings.stopping.is_set() and time.monotonic() < end:
                await anyio.sleep(_STEP)
                if time.monotonic() < next_look:
                    continue
                next_look = time.monotonic() + _PERIOD
                mark = await run_sync(self.mark)
                yield b"data: changed\n\n" if mark != known else b": no change\n\n"
                known = mark
        finally:
            self.streams -= 1
