"""``PostgreSQLPool``: the connections of one process to a store, each for one caller at a time."""

from __future__ import annotations

import os
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from choreo.errors import StoreMismatch, StoreUnavailable
from choreo.ports import JoinedStore, OpenTransaction
from choreo.store.forks import keep
from choreo.store.postgresql.client import ClientStore
from choreo.store.postgresql.errors import shown
from choreo.store.postgresql.identity import Identity
from choreo.store.postgresql.joined import joined_in

MOST = 10
"""How many connections a process opens at most: a server has few."""

_WAIT_SECONDS = 5.0
"""How long a caller waits for one."""


class PostgreSQLPool:
    """Opens connections as callers need them, and keeps idle ones; safe in threads and after ``fork()``.

    A forked process drops what it inherits, and neither uses nor closes it: its parent goes on. ``prepare``
    is called with the first connection, in a transaction. ``participant`` is the one that may use the store.
    """

    def __init__(self, address: str, participant: str, prepare: Callable[[Any], None] | None = None) -> None:
        self._address = address
        self._participant = participant
        self._prepare = prepare
        self._is_closed = False
        self._identity: Identity | None = None
        self._begin()
        _pools.add(self)

    def _begin(self) -> None:
        """Begin in a new process, which has no connection yet."""
        self._process = os.getpid()
        self._condition = threading.Condition()
        self._idle: list[ClientStore] = []
        self._busy: dict[ClientStore, int] = {}
        self._opening: list[int] = []  # the threads that open one
        self._is_prepared = False
        self._finalizer = weakref.finalize(self, _close_all, self._idle)

    def disown(self) -> None:
        """Drop, in a forked process, what its parent has open."""
        if os.getpid() == self._process:
            return
        self._finalizer.detach()
        for store in (*self._idle, *self._busy):
            keep(store.db)
        self._begin()

    @contextmanager
    def lend(self) -> Iterator[ClientStore]:
        """Yield a connection for a caller's own use; the end of the block may be in another thread.

        Raises `StoreError` where the database can't be opened, has no tables or is another participant's,
        `StoreUnavailable` where all connections are in use for too long.
        """
        self.disown()
        process = self._process
        store = self._taken()
        try:
            yield store
        finally:
            if os.getpid() == process:
                self._take_back(store)

    @contextmanager
    def within(self, transaction: OpenTransaction, participant: str) -> Iterator[JoinedStore]:
        """Yield the store inside of a transaction of the service's own; see `choreo.ports.Stores.within`."""
        self.disown()
        if self._identity is None:
            with self.lend():
                pass
        assert self._identity is not None
        with joined_in(shown(self._address), self._identity, transaction, participant) as joined:
            yield joined

    def close(self) -> None:
        """Close the idle connections, and the others as soon as they are given back."""
        self.disown()
        with self._condition:
            self._is_closed = True
            _close_all(self._idle)

    def _taken(self) -> ClientStore:
        thread, until = threading.get_ident(), time.monotonic() + _WAIT_SECONDS
        with self._condition:
            while not self._idle and len(self._busy) + len(self._opening) >= MOST:
                left = until - time.monotonic()
                # Whoever has one already may be a task of this thread's event loop, which a wait would stop.
                if left <= 0 or thread in self._busy.values():
                    raise StoreUnavailable(
                        f"all {MOST} connections of this process to {shown(self._address)} are in use",
                        hint="keep transactions short, and don't await inside of one",
                    )
                self._condition.wait(left)
            if self._idle:
                store = self._idle.pop()
                self._busy[store] = thread
                return store
            self._opening.append(thread)
        opened: ClientStore | None = None
        try:
            opened = self._opened()
        finally:
            with self._condition:
                self._opening.remove(thread)
                if opened is not None:
                    self._busy[opened] = thread
                self._condition.notify()
        return opened

    def _take_back(self, store: ClientStore) -> None:
        with self._condition:
            self._busy.pop(store, None)
            if store.is_free and not self._is_closed:
                self._idle.append(store)
            else:
                store.close()
            self._condition.notify()

    def _opened(self) -> ClientStore:
        store = ClientStore(self._address)
        try:
            found = store.identity
            if self._identity is not None and self._identity.store_id != found.store_id:
                raise StoreMismatch(
                    f"another store has taken the place of {shown(self._address)} since this process "
                    "connected to it",
                    hint="start this process again to use that one",
                )
            if store.owner not in ("", self._participant):
                raise StoreMismatch(
                    f"{shown(self._address)} is the store of {store.owner!r}, not of {self._participant!r}",
                    hint="each participant has a store of its own",
                )
            if self._prepare and not self._is_prepared and not store.blocks_here:
                store.prepare(self._prepare)
                self._is_prepared = True
            self._identity = found
        except BaseException:
            store.close()
            raise
        return store


def _close_all(stores: list[ClientStore]) -> None:
    while stores:
        stores.pop().close()


_pools: weakref.WeakSet[PostgreSQLPool] = weakref.WeakSet()


def _after_fork_in_child() -> None:
    for pool in list(_pools):
        pool.disown()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
