"""The store in SQLite: one file, with a write-ahead log, synced at every commit."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, cast

from sqlite_utils import Database

from choreo.errors import StoreError
from choreo.participant import Sessions
from choreo.ports.joined import JoinedStore, OpenTransaction
from choreo.records import Entry, SagaKey
from choreo.store.sessions import sessions_of
from choreo.store.sqlite.database import open_database
from choreo.store.sqlite.dialect import SEARCHES, SQL, SQLITE
from choreo.store.sqlite.errors import store_error, turn_error
from choreo.store.sqlite.files import Files
from choreo.store.sqlite.guard import Guard, GuardedConnection
from choreo.store.sqlite.heads import SQLiteHeads
from choreo.store.sqlite.joined import joined_in
from choreo.store.sqlite.pending import SQLitePending
from choreo.store.sqlite.rows import UNWRITABLE
from choreo.store.sqlite.saga_log import SQLiteSagaLog
from choreo.store.sqlite.turn import Claim, Savepoint, Turn
from choreo.store.sqlite.wal import WriteAheadLog
from choreo.store.tables import TableStore

_DATA_VERSION = "PRAGMA data_version"

_UNKNOWN = SQLITE.sql(
    "SELECT a, b FROM ({pairs}) AS asked WHERE NOT EXISTS"
    " (SELECT 1 FROM {saga_log} WHERE saga_id = asked.a AND saga_type = asked.b)"
)


class SQLiteStore(TableStore):
    """A `choreo.ports.Store` in an SQLite file, in which the service may keep its own tables.

    ``path`` may be ``":memory:"``; ``busy_timeout`` is the time to wait for another writer, in seconds.
    A store belongs to the thread that made it, unless ``any_thread`` may use it, one after the other; and to
    the process that made it: a forked one is refused every use. Opening raises `StoreError` with a hint;
    later `StoreError` is raised when the database is locked too long, or fails.

    A store in memory begins as a copy of another one where ``image`` is what `image` returned of that.
    ``chance`` returns so many random bytes.

    Rows of the saga log, the outbox and the schedule are written together when the turn ends, or when
    a method reads them.

    >>> from choreo.records import Partition, Unpublished
    >>> store = SQLiteStore(":memory:")
    >>> with store.turn():
    ...     store.enqueue([Unpublished("e1", "saga-1", "order", "orders", "[]", b"...")])
    ...     store.join(Partition("orders", 0), position=7, end=7, acts_from=7)
    >>> [row.seq for row in store.unpublished(after=0, limit=10)]
    [1]
    >>> store.positions()
    {Partition(topic='orders', number=0): 7}
    >>> store.close()
    """

    _sql = SQL
    _searches = SEARCHES
    _pending: SQLitePending
    _turn: Turn

    def __init__(
        self,
        path: str | Path,
        *,
        busy_timeout: float = 5.0,
        image: bytes = b"",
        chance: Callable[[int], bytes] = os.urandom,
        any_thread: bool = False,
    ) -> None:
        self._path = str(path)
        self._db = open_database(path, busy_timeout, image, any_thread=any_thread)
        self._connection = cast(GuardedConnection, self._db.conn)
        guard = Guard()
        guard.watch(self._connection)
        self._heads = SQLiteHeads(self._connection, chance=chance)
        self._pending = SQLitePending(self._heads)
        self._claim = Claim(self._connection, chance)
        self._guard = guard
        self._files = Files(self._path)
        self._turn = Turn(
            self._path,
            self._connection,
            guard,
            self._pending,
            self._claim,
            self._files,
            moves=any_thread,
            patience=busy_timeout,
        )
        self._savepoint = Savepoint(self._turn, self._connection, guard, self._pending)
        self._saga_log = SQLiteSagaLog(self._path, self._connection, self._turn, self._pending, self._heads)
        self._wal = WriteAheadLog(self._path, self._connection)
        self._store_id = str(self._rows(self._sql.owner)[0][0])
        self._data_version = self._rows(_DATA_VERSION)[0][0]

    @property
    def db(self) -> Database:
        """The open database as handlers see it. Inside a turn it refuses to commit and to roll back."""
        return self._db

    @property
    def store_id(self) -> str:
        """A random id given when the store was made; a copied file keeps it."""
        return self._store_id

    def sessions(self, declared: Any) -> Sessions:
        """Return the sessions on this store's connection; see the port."""
        return sessions_of(declared, "sqlite://", lambda: self._connection)

    def within(self, transaction: OpenTransaction, participant: str) -> AbstractContextManager[JoinedStore]:
        """Open a block inside of a transaction of the service's own; see `choreo.ports.Store.within`."""
        return joined_in(self._path, transaction, participant, self._store_id)

    def claim(self) -> int:
        """Claim the store: whoever claimed it before is fenced from its next turn on; see the port."""
        self._turn.require("claim")
        try:
            return self._claim.take()
        except sqlite3.Error as error:
            raise store_error(self._path, error) from error

    @property
    def is_free(self) -> bool:
        """Whether no transaction is open in it, and this process may use it."""
        return self._guard.phase == "outside" and not self._connection.in_transaction

    def check_files(self) -> None:
        """Raise `StoreGone` where the store's files were deleted, moved or replaced since it was opened."""
        self._files.check()

    def trim(self) -> None:
        """Keep the write-ahead log small, without waiting for readers; outside of a turn."""
        self._wal.trim()

    def changed(self) -> bool:
        """Whether another connection has committed since the last call; cheap."""
        before, self._data_version = self._data_version, self._rows(_DATA_VERSION)[0][0]
        return bool(before != self._data_version)

    def histories(self, sagas: Collection[SagaKey]) -> Mapping[SagaKey, Sequence[Entry]]:
        """Return those of sagas that have no entries, as the others are read as fast one by one."""
        unwritten = self._pending.concerns
        keys = [key for key in sagas if not unwritten(key.saga_id)]
        unknown = [SagaKey._make(row) for row in self._rows(_UNKNOWN, json.dumps(keys))] if keys else []
        for key in unknown:
            self._heads.new(*key)
        return dict.fromkeys(unknown, ())

    def image(self) -> bytes:
        """Return the bytes of the whole database, as in its file."""
        return self._connection.serialize()

    def close(self) -> None:
        """Close the database; closing twice does no harm."""
        self._connection.close()

    def _write(self) -> None:
        if not self._turn.is_open:
            return
        self._turn.require("write")
        try:
            self._pending.write(self._connection)
        except UNWRITABLE as error:
            raise turn_error(self._path, error) from error

    def _rows(self, sql: str, *values: object) -> list[Any]:
        found = self._change(sql, *values)
        try:
            return found.fetchall()
        except sqlite3.Error as error:  # of a later page, which can't be read
            raise self._failed(error) from error

    def _count(self, sql: str, *values: object) -> int:
        return self._change(sql, *values).rowcount

    def _change(self, sql: str, *values: object) -> sqlite3.Cursor:
        try:
            return self._turn.execute(sql, values)
        except sqlite3.Error as error:
            raise self._failed(error) from error

    def _failed(self, error: sqlite3.Error) -> StoreError:
        return (turn_error if self._turn.is_open else store_error)(self._path, error)
