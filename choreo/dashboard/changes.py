"""``Changes``: tells browsers that something has changed, so that they ask for the page again."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from hashlib import sha256
from threading import Lock
from typing import Final

import anyio
from anyio.to_thread import run_sync

from choreo.dashboard.settings import Settings
from choreo.dashboard.stores import Shown, Stores
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
                return mark_of(shown)
        except ChoreoError as error:
            return _digest(str(error))

    async def stream(self, known: str = "") -> AsyncIterator[bytes]:
        """Yield a line of an event stream for each change, until the page stops or it has lasted long.

        ``known`` is the mark of what the browser shows. It gets each later one as an id, with which it comes
        again, so that nothing is missed that changes between two streams.
        """
        yield b"retry: 1000\n\n"
        next_look = time.monotonic()
        end = next_look + _LIFE
        while not self._settings.stopping.is_set() and time.monotonic() < end:
            if time.monotonic() < next_look:
                await anyio.sleep(_STEP)
                continue
            next_look = time.monotonic() + _PERIOD
            mark = await run_sync(self.mark)
            if mark == known:
                yield b": no change\n\n"
            else:
                yield f"id: {mark}\n{'data: changed' if known else ': the first'}\n\n".encode()
            known = mark


def mark_of(shown: Shown) -> str:
    """Return a text that is another one once something has changed in the stores of a page."""
    found = [(each.path, each.store.last_row(), each.store.depths()) for each in shown.read]
    return _digest(f"{found} {[(each.path, each.error.message) for each in shown.away]}")


def _digest(text: str) -> str:
    return sha256(text.encode(errors="backslashreplace")).hexdigest()[:16]
