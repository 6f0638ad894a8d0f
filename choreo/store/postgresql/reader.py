"""Reading a store in PostgreSQL beside its worker."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any, TypeVar

import psycopg
from psycopg.pq import TransactionStatus

from choreo.records import Entry, Partition
from choreo.store.postgresql.dialect import POSTGRESQL, SEARCHES
from choreo.store.postgresql.errors import shown, store_error
from choreo.store.postgresql.requests import entries_of, newly_requested
from choreo.store.postgresql.schema import require_tables
from choreo.store.postgresql.session import connect
from choreo.store.reader import UNENDED_LATERAL, Reading, TableReader
from choreo.timeline.source import LastEntry

T = TypeVar("T")

_TAKEOVERS = "SELECT topic, partition, epoch FROM choreo.positions"
_BEGIN = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
_WAIT_BRIEFLY = "SET LOCAL lock_timeout = '15s'"
"""A migration locks tables for less."""
_AFTER = 2**62
"""What is only asked for comes after all rows of the saga log."""


class PostgreSQLReader(TableReader):
    """Reads one store, as a `choreo.timeline.source.Source`; also on a standby.

    Raises `StoreError` where the database can't be read, or holds no store of this choreo's.
    """

    _sql = Reading(POSTGRESQL, UNENDED_LATERAL)
    _searches = SEARCHES
    late_seconds = 90.0  # a paused turn is ended by the server earlier than that

    def __init__(self, address: str) -> None:
        self.path = shown(address)
        self._connection = connect(address, self.path, reading=True)
        try:
            require_tables(self._connection, self.path)
            owners = self._rows(self._sql.owner)
            self.owner = str((owners and owners[0][0]) or "")
            self.participant = self.owner or str(self._connection.info.dbname)
        except psycopg.Error as error:
            self._connection.close()
            raise store_error(self.path, error) from error
        except BaseException:
            self._connection.close()
            raise

    def takeovers(self) -> dict[Partition, int]:
        """Return how often each partition was taken over by one of the workers."""
        return {Partition(topic, number): times for topic, number, times in self._rows(_TAKEOVERS)}

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def _requested(self, saga_id: str, known: Collection[str]) -> Sequence[Entry]:
        asked = entries_of(lambda sql, values: self._rows(sql, *values), saga_id, "")
        return [entry for entry in asked if entry.event_id not in known]

    def _newly_requested(self) -> Sequence[LastEntry]:
        found = newly_requested(lambda sql, values: self._rows(sql, *values))
        return [
            LastEntry(
                _AFTER + identity,
                *(entry.saga_id, entry.saga_type, entry.saga_state, entry.recorded_at, entry.saga_version),
            )
            for identity, entry in found
        ]

    def _at_once(self, read: Callable[[], T]) -> T:
        try:
            self._connection.execute(f"{_BEGIN}; {_WAIT_BRIEFLY}".encode(), prepare=False)
        except psycopg.Error as error:
            raise store_error(self.path, error) from error
        try:
            return read()
        finally:
            self._connection.rollback()

    def _rows_of(self, statements: Sequence[str], *values: object) -> list[Sequence[Any]]:
        if _can_not_be_there(values):
            return [()] * len(statements)
        if not psycopg.Pipeline.is_supported():  # libpq is older than 14
            return super()._rows_of(statements, *values)
        cursors = [psycopg.Cursor(self._connection) for _ in statements]
        try:
            with self._connection.pipeline():  # they take one round trip
                for cursor, sql in zip(cursors, statements, strict=True):
                    cursor.execute(sql.encode(), values or None)
            return [each.fetchall() for each in cursors]
        except psycopg.Error as error:
            raise store_error(self.path, error) from error

    def _rows(self, sql: str, *values: object) -> Sequence[Any]:
        if _can_not_be_there(values):
            return ()
        try:
            if self._connection.info.transaction_status == TransactionStatus.IDLE:
                return self._rows_alone(sql, values)
            cursor = self._connection.execute(sql.encode(), values or None)
            return cursor.fetchall() if cursor.description else []
        except psycopg.Error as error:
            raise store_error(self.path, error) from error

    def _rows_alone(self, sql: str, values: Sequence[object]) -> Sequence[Any]:
        """Execute a statement outside of a transaction: both are one message, and so one transaction."""
        cursor = psycopg.ClientCursor(self._connection)
        cursor.execute(f"{_WAIT_BRIEFLY}; {sql}".encode(), values or None)
        cursor.set_result(1)
        return cursor.fetchall() if cursor.description else []


def _can_not_be_there(values: Sequence[object]) -> bool:
    """Whether one of these values is a text that none in PostgreSQL can be."""
    return any(isinstance(each, str) and "\0" in each for each in values)
