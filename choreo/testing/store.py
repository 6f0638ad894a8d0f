"""The store of a simulation, in memory or in a file, with simulated failures."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from choreo.errors import StoreError
from choreo.records import Entry, Partition
from choreo.store.opening import MEMORY
from choreo.store.opening import open_store as open_at
from choreo.store.tables import TableStore


class Crash(BaseException):
    """Raised where the process of a participant ends, as by ``kill -9``; no handler can catch it."""


def open_store(folder: Path | None, name: str) -> TableStore:
    """Return a participant's store, in memory or in a file, with reproducible random bytes."""
    chance = random.Random(name).randbytes
    return open_at(MEMORY if folder is None else folder / f"{name}.db", chance=chance)


class FaultyStore:
    """The worker's store, which fails on demand; all other behaviour is that of the real store.

    ``crashes_at`` ``"commit"`` or ``"publish"`` ends the process at the end of the turn, before or after its
    commit; ``breaks`` makes the next write fail; ``before_turn`` is called at the beginning of a turn.
    Each happens once. ``was_touched``: another process has written; ``advances`` counts the changes of
    positions.
    """

    def __init__(self, store: TableStore) -> None:
        self.crashes_at = ""
        self.breaks = False
        self.before_turn: Callable[[], None] | None = None
        self.was_touched = False
        self.advances = 0
        self._store = store

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Open a turn, and crash at its end where ``crashes_at`` is set."""
        stalled, self.before_turn = self.before_turn, None
        if stalled:
            stalled()
        with self._store.turn():
            yield
            self._crash_at("commit")
        self._crash_at("publish")

    def append(self, entries: Iterable[Entry]) -> None:
        """Append to the saga log, or fail."""
        if self.breaks:
            self.breaks = False
            raise StoreError("the disk is full, says the test")
        self._store.append(entries)

    def advance(self, partition: Partition, expected: int, position: int) -> None:
        """Advance a position, and count it."""
        self.advances += 1
        self._store.advance(partition, expected, position)

    def changed(self) -> bool:
        """Whether another process has written, on this connection too."""
        touched, self.was_touched = self.was_touched, False
        return self._store.changed() or touched

    def _crash_at(self, point: str) -> None:
        if self.crashes_at == point:
            self.crashes_at = ""
            raise Crash(point)
