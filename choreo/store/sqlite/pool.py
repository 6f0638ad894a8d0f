"""``SQLitePool``: the connections of one process to a store, each of which serves one caller at a time."""

from __future__ import annotations

import logging
import os
import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from choreo.errors import StoreGone, StoreMismatch
from choreo.ports import JoinedStore, OpenTransaction
from choreo.store.sqlite.joined import joined_in
from choreo.store.sqlite.store import SQLiteStore

_FORK_SECONDS = 5.0
"""The longest time that a fork waits for other threads' transactions: as long as these wait for a lock."""

_log = logging.getLogger("choreo.client")


class SQLitePool:
    """Opens connections as callers need them, and keeps idle ones; safe in threads and after ``fork()``.

    No idle connection crosses a fork: they are closed before it, and transactions of other threads are
    waited for (see `choreo.store.sqlite.forks`). ``participant`` is the one that may use the store.
    ``prepare`` is called with the first connection's database, in a transaction.
    """

    def __init__(self, path: Path, participant: str, prepare: Callable[[Any], None] | None = None) -> None:
        self._path = path
        self._participant = participant
        self._prepare = prepare
        self._idle: list[SQLiteStore] = []
        self._busy: dict[int, int] = {}  # how many of each thread's
        self._is_prepared = False
        self._is_closed = False
        self._store_id = ""
        _pools.add(self)
        weakref.finalize(self, _close_all, self._idle)

    @contextmanager
    def lend(self) -> Iterator[SQLiteStore]:
        """Yield a connection for a caller's own use; the end of the block may be in another thread.

        Raises `StoreError` where the database can't be opened; `StoreGone` where it was deleted since the
        first time, and `StoreMismatch` where another store has taken its place.
        """
        thread = threading.get_ident()
        with _gate.condition:
            _gate.condition.wait_for(lambda: not _gate.is_forking or _is_busy(thread))
            self._busy[thread] = self._busy.get(thread, 0) + 1
        try:
            store = self._kept() or self._opened()
            try:
                yield store
            finally:
                self._take_back(store)
        finally:
            self._release(thread)

    @contextmanager
    def within(self, transaction: OpenTransaction, participant: str) -> Iterator[JoinedStore]:
        """Yield the store inside of a transaction of the service's own; see `choreo.ports.Stores.within`."""
        with joined_in(self._path, transaction, participant, self._store_id) as joined:
            self._store_id = joined.store_id
            yield joined

    def close(self) -> None:
        """Close the idle connections, and the others as soon as they are given back."""
        with _gate.condition:
            self._is_closed = True
            _close_all(self._idle)

    def is_busy(self, thread: int) -> bool:
        """Whether a caller in the thread has a connection."""
        return thread in self._busy

    def is_busy_elsewhere(self, thread: int) -> bool:
        """Whether a caller in another thread has a connection."""
        return any(each != thread for each in self._busy)

    def close_idle(self) -> None:
        """Close the idle connections."""
        _close_all(self._idle)

    def begin(self) -> None:
        """Begin in a new process, which has no connection yet."""
        self._idle.clear()
        self._busy.clear()
        self._is_prepared = False

    def _take_back(self, store: SQLiteStore) -> None:
        with _gate.condition:
            if store.is_free and not self._is_closed:
                self._idle.append(store)
            else:
                store.close()

    def _release(self, thread: int) -> None:
        with _gate.condition:
            left = self._busy.get(thread, 0) - 1
            if left > 0:
                self._busy[thread] = left
            else:
                self._busy.pop(thread, None)
            _gate.condition.notify_all()

    def _kept(self) -> SQLiteStore | None:
        """Return an idle connection, None where there is none to a store that is still in its place."""
        while True:
            with _gate.condition:
                store = self._idle.pop() if self._idle else None
            if store is None:
                return None
            try:
                store.check_files()
                return store
            except StoreGone as error:
                store.close()
                # SQLite gives a second connection of a process the files that the first one has.
                if sum(self._busy.values()) > 1:
                    raise
                _log.warning("%s: opened again", error.message)

    def _opened(self) -> SQLiteStore:
        if self._store_id and not self._path.exists():
            raise StoreGone(
                f"the store {self._path} was deleted or moved since this process connected to it",
                hint="put the file back; to begin with a new one, start this process again",
            )
        store = SQLiteStore(self._path, any_thread=True)
        try:
            if self._store_id not in ("", store.store_id):
                raise StoreMismatch(
                    f"another store has taken the place of {self._path} since this process connected to it",
                    hint="start this process again to use that one",
                )
            if store.owner not in ("", self._participant):
                raise StoreMismatch(
                    f"{self._path} is the store of {store.owner!r}, not of {self._participant!r}",
                    hint="each participant has a store of its own",
                )
            self._store_id = store.store_id
            if self._prepare and not self._is_prepared and not store.blocks_here:
                with store.turn():
                    self._prepare(store.db)
                self._is_prepared = True
        except BaseException:
            store.close()
            raise
        return store


def _close_all(stores: list[SQLiteStore]) -> None:
    while stores:
        stores.pop().close()


class _Gate:
    """What all pools of a process share: a lock of their lists, which a fork holds."""

    def __init__(self) -> None:
        self.begin()

    def begin(self) -> None:
        """Begin in a new process, in which no thread has the lock."""
        self.condition = threading.Condition(threading.RLock())
        self.is_forking = False


_pools: weakref.WeakSet[SQLitePool] = weakref.WeakSet()
_gate = _Gate()


def _is_busy(thread: int) -> bool:
    return any(pool.is_busy(thread) for pool in _pools)


def _before_fork() -> None:
    thread = threading.get_ident()
    _gate.condition.acquire()
    _gate.is_forking = True
    _gate.condition.wait_for(
        lambda: not any(pool.is_busy_elsewhere(thread) for pool in _pools), timeout=_FORK_SECONDS
    )
    for pool in _pools:
        pool.close_idle()


def _after_fork_in_parent() -> None:
    _gate.is_forking = False
    _gate.condition.notify_all()
    _gate.condition.release()


def _after_fork_in_child() -> None:
    _gate.begin()
    for pool in _pools:
        pool.begin()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_before_fork, after_in_parent=_after_fork_in_parent, after_in_child=_after_fork_in_child
    )
