"""Maintenance of the saga log in PostgreSQL: what `choreo.store.saga_log` leaves to the database."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import psycopg

from choreo.chain import Row
from choreo.errors import StoreError
from choreo.records import Entry
from choreo.store.chains import Chains
from choreo.store.heads import Heads
from choreo.store.postgresql.dialect import POSTGRESQL
from choreo.store.postgresql.errors import UNWRITABLE, first_line, store_error
from choreo.store.postgresql.pending import Insertion, PostgreSQLPending, types_of
from choreo.store.postgresql.session import Session
from choreo.store.postgresql.turn import Turn
from choreo.store.saga_log import Maintenance, TableSagaLog, Tombstone

_ADD = (
    f"INSERT INTO choreo.saga_log ({POSTGRESQL.columns((*Entry._fields, 'digest', 'link'))})"
    f" VALUES ({', '.join(['%s'] * (len(Entry._fields) + 2))})"
)
_COPIES = Insertion(
    "saga_log",
    ("id", *Entry._fields, "salt", "digest", "link"),
    ("bigint", *types_of(Entry, Entry._fields), "bytea", "bytea", "bytea"),
)
_GO_ON = "SELECT setval(pg_get_serial_sequence('choreo.saga_log', 'id'), %s)"  # the next row's id is greater
_VACUUM = "VACUUM {} choreo.saga_log, choreo.dead_letters"
_NOW = "SELECT pg_snapshot_xmax(pg_current_snapshot())::xid::text"
# What is deleted stays for transactions that began before, and can be removed once they have ended.
_READERS = """
SELECT count(*) FROM pg_stat_activity
WHERE pid <> pg_backend_pid() AND datname = current_database() AND age(backend_xmin) > age(%s::xid)
"""
_PAUSE, _ATTEMPTS = 0.05, 20


class PostgreSQLSagaLog(TableSagaLog):
    """The saga log of one store; see `choreo.ports.SagaLog`."""

    _sql = Maintenance(POSTGRESQL)

    def __init__(self, session: Session, turn: Turn, pending: PostgreSQLPending, heads: Heads) -> None:
        self._session = session
        self._turn: Turn = turn
        self._pending = pending
        self._heads = heads
        self._chains = Chains(self._rows, POSTGRESQL)

    def _vacuum(self, sql: str) -> None:
        """Execute what runs in no transaction."""
        try:
            self._session.execute(sql)
        except psycopg.Error as error:
            raise store_error(self._session.name, error) from error

    def restore(self, rows: Sequence[Row]) -> None:
        """Write rows of another store, inside a turn, with their ids and links. Raises `StoreError`."""
        self._turn.require("restore")
        if not rows:
            return
        values = [(row.id, *row.entry, row.salt, row.digest, row.link) for row in rows]
        try:
            self._session.execute(_COPIES.sql, _COPIES.values(values))
        except UNWRITABLE as error:
            said = first_line(error)
            raise StoreError(f"a row can't be written: {said}", hint="is it there already?") from error
        self._rows(_GO_ON, rows[-1].id)

    def scrub(self, *, whole: bool = False) -> bool:
        """Remove what was erased or pruned from the tables, outside of a turn; return whether it is gone.

        Only ``whole`` writes the tables anew, so that nothing of it is left in their files either. What is in
        the server's write-ahead log, its standbys and its backups is theirs to remove.
        """
        moment = self._rows(_NOW)[0][0]
        for attempt in range(_ATTEMPTS):
            time.sleep(_PAUSE if attempt else 0)
            if not self._rows(_READERS, moment)[0][0]:
                self._vacuum(_VACUUM.format("FULL" if whole else ""))
                return True
        return False

    def _write(self) -> None:
        try:
            self._pending.write(self._session)
        except UNWRITABLE as error:
            raise self._turn.error(error) from error

    def _stand_in(self, tombstones: Sequence[Tombstone], last: int) -> None:
        for entry, digest, link in tombstones:
            self._count(_ADD, *entry, digest, link)

    def _rows(self, sql: str, *values: object) -> list[Any]:
        return self._turn.rows(sql, values)

    def _count(self, sql: str, *values: object) -> int:
        return self._turn.count(sql, values)
