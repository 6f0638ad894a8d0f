"""Maintenance of the saga log in SQLite: what `choreo.store.saga_log` leaves to the database.

This is the side that `choreo.audit` calls. The table is made by `choreo.store.sqlite.migrations`, and a turn
writes its rows through `choreo.store.sqlite.pending`.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from choreo.chain import Row
from choreo.errors import StoreError
from choreo.records import Entry
from choreo.store.saga_log import Maintenance, TableSagaLog, Tombstone
from choreo.store.sqlite.dialect import SQLITE
from choreo.store.sqlite.errors import store_error
from choreo.store.sqlite.heads import SQLiteHeads, chains_in
from choreo.store.sqlite.pending import SQLitePending
from choreo.store.sqlite.rows import UNWRITABLE, Insertion
from choreo.store.sqlite.turn import Turn

_PATIENCE = 50
"""The milliseconds of one wait for a reader."""

_ATTEMPTS = 20

_COPIES = Insertion("saga_log", ("id", *Entry._fields, "salt", "digest", "link"))
_TOMBSTONES = Insertion("saga_log", ("id", *Entry._fields, "digest", "link"))
_SQL = Maintenance(SQLITE)


class SQLiteSagaLog(TableSagaLog):
    """The saga log of one store; see `choreo.ports.SagaLog`."""

    _sql = _SQL

    def __init__(
        self,
        path: str,
        connection: sqlite3.Connection,
        turn: Turn,
        pending: SQLitePending,
        heads: SQLiteHeads,
    ) -> None:
        self._path = path
        self._connection = connection
        self._turn: Turn = turn
        self._pending = pending
        self._heads = heads
        self._chains = chains_in(connection)

    def scrub(self, *, whole: bool = False) -> bool:
        """Remove what was erased or pruned from the disk, outside of a turn; return whether it is gone."""
        if whole:
            self._rows("VACUUM")
        # Nobody can write while a checkpoint waits for a reader: so it waits briefly, and often.
        self._rows(f"PRAGMA busy_timeout = {_PATIENCE}")
        try:
            return any(self._is_emptied(attempt) for attempt in range(_ATTEMPTS))
        finally:
            self._rows("PRAGMA busy_timeout = 0")

    def _is_emptied(self, attempt: int) -> bool:
        """Whether all of the write-ahead log was moved into the database; others may write before."""
        time.sleep(2 * _PATIENCE / 1000 if attempt else 0)
        busy, *_ = self._rows("PRAGMA wal_checkpoint(TRUNCATE)")[0]
        return not busy

    @contextmanager
    def _tolerant(self) -> Iterator[None]:
        """Read texts even where their bytes are no UTF-8: another program may have written them."""
        self._connection.text_factory = _surrogates
        try:
            yield
        except sqlite3.Error as error:
            raise store_error(self._path, error) from error
        finally:
            self._connection.text_factory = str

    def restore(self, rows: Sequence[Row]) -> None:
        """Write rows of another store, inside a turn, with their ids and links. Raises `StoreError`."""
        self._turn.require("restore")
        try:
            _COPIES.write(
                self._connection, [(row.id, *row.entry, row.salt, row.digest, row.link) for row in rows]
            )
        except UNWRITABLE as error:
            raise StoreError(f"a row can't be written: {error}", hint="is it there already?") from error

    def _write(self) -> None:
        self._pending.write(self._connection)

    def _stand_in(self, tombstones: Sequence[Tombstone], last: int) -> None:
        rows = [(last + n, *entry, *rest) for n, (entry, *rest) in enumerate(tombstones, 1)]
        _TOMBSTONES.write(self._connection, rows)

    def _count(self, sql: str, *values: object) -> int:
        return self._change(sql, *values).rowcount

    def _rows(self, sql: str, *values: object) -> list[Any]:
        found = self._change(sql, *values)
        try:
            return found.fetchall()
        except sqlite3.Error as error:  # of a later page, which can't be read
            raise store_error(self._path, error) from error

    def _change(self, sql: str, *values: object) -> sqlite3.Cursor:
        try:
            return self._turn.execute(sql, values)
        except sqlite3.Error as error:
            raise store_error(self._path, error) from error


def _surrogates(text: bytes) -> str:
    return text.decode("utf-8", "surrogateescape")
