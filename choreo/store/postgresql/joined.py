"""Starts and cancellations that are written through a connection of the service's own, as requests."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg.pq import PipelineStatus, TransactionStatus
from psycopg.rows import tuple_row

from choreo.errors import ConfigurationError, StoreError, StoreMismatch, StoreUnavailable
from choreo.ports.joined import OpenTransaction
from choreo.records import Entry, Unpublished
from choreo.store.postgresql.dialect import SQL
from choreo.store.postgresql.errors import UNWRITABLE, first_line, is_conflict, store_error
from choreo.store.postgresql.guard import GuardedConnection
from choreo.store.postgresql.identity import IDENTITY, Identity
from choreo.store.postgresql.requests import INSERT, entries_of, values_of, with_requested
from choreo.store.postgresql.schema import MIGRATIONS
from choreo.store.postgresql.session import inherited

_FACTS = f"""
SELECT {IDENTITY}, participant, current_setting('transaction_read_only') = 'on',
    ARRAY(SELECT name FROM choreo.migrations ORDER BY name)
FROM choreo.store
"""
_NO_TABLES = ("42P01", "3F000")
_SAVEPOINT = "SAVEPOINT choreo_joined"
_RELEASE = "RELEASE SAVEPOINT choreo_joined"
_ROLL_BACK = "ROLLBACK TO SAVEPOINT choreo_joined"


class _Statements:
    """Executes statements on the connection; rows are tuples, whatever its factories are."""

    def __init__(self, transaction: OpenTransaction) -> None:
        self._connection = transaction.connection
        self._driver = transaction.driver
        is_plain = isinstance(self._driver, psycopg.Connection)
        self._cursor_factory = psycopg.Cursor if is_plain else psycopg.AsyncCursor

    def execute(self, sql: str, values: Sequence[object] = ()) -> Sequence[Any]:
        """Execute a statement, and return its rows. Raises `psycopg.Error`."""
        cursor = self._cursor()
        try:
            cursor.execute(sql, values or None)
            return cursor.fetchall() if cursor.description else ()
        finally:
            cursor.close()

    def _cursor(self) -> Any:
        driver = self._driver
        factories = driver.row_factory, driver.cursor_factory
        driver.row_factory, driver.cursor_factory = tuple_row, self._cursor_factory
        try:
            return self._connection.cursor()
        finally:
            driver.row_factory, driver.cursor_factory = factories


class PostgreSQLJoined:
    """A `choreo.ports.JoinedStore` of the store ``identity``, called ``name``, for one block.

    Raises `StoreMismatch` where the transaction is none of this store, `StoreError` where nothing can be
    written through it. Whatever fails, the transaction goes on as it was.
    """

    def __init__(self, name: str, identity: Identity, transaction: OpenTransaction, participant: str) -> None:
        self._name = name
        self._transaction = transaction
        self._driver = transaction.driver
        self._process = os.getpid()
        _refuse_others(self._driver, name)
        self._statements = _Statements(transaction)
        self._refuse_closed(has_begun=False)
        with self._undoing():
            self._refuse_mismatch(identity, participant)

    @property
    def db(self) -> Any:
        """What the service gave for the transaction."""
        return self._transaction.given

    @contextmanager
    def savepoint(self) -> Iterator[None]:
        """Open a savepoint, to which an exception that leaves it rolls back."""
        self._refuse_closed()
        with self._undoing():
            yield

    @contextmanager
    def _undoing(self) -> Iterator[None]:
        self._run(_SAVEPOINT)
        try:
            yield
        except BaseException:
            self._undo()
            raise
        self._run(_RELEASE)

    def history(self, saga_id: str, saga_type: str = "") -> Sequence[Entry]:
        """Return a saga's entries, oldest first; without a type, those of all sagas with the id."""
        self._refuse_closed()
        requested = entries_of(self._run, saga_id, saga_type)
        found = (
            self._run(SQL.history, (saga_id, saga_type))
            if saga_type
            else self._run(SQL.histories, (saga_id,))
        )
        return with_requested([Entry._make(row) for row in found], requested)

    def is_keyed_by_id(self, saga_id: str, saga_type: str) -> bool:
        """Whether the store held a saga before it was keyed by saga type and id."""
        return bool(self._run(SQL.is_keyed_by_id, (saga_id, saga_type)))

    def emit(self, entry: Entry, rows: Sequence[Unpublished]) -> None:
        """Ask the worker to write an event: its entry of the saga log, and its rows of the outbox."""
        self._refuse_closed()
        self._run(INSERT, values_of(entry, rows))

    def _refuse_closed(self, *, has_begun: bool = True) -> None:
        """Refuse a transaction that has ended, or takes no statement."""
        if os.getpid() != self._process:
            raise inherited()
        self._transaction.check()
        status = TransactionStatus(self._driver.pgconn.transaction_status)
        if status is TransactionStatus.INERROR:
            raise StoreError(
                "a statement has failed in the session's transaction, which takes no other one",
                hint="roll it back, or that statement alone, by a savepoint around it",
            )
        if self._driver.pgconn.pipeline_status != PipelineStatus.OFF or status is TransactionStatus.ACTIVE:
            raise StoreError(
                "the session's connection is busy: a pipeline, COPY or stream is open on it",
                hint="leave that before the block of orders.transaction(within=…)",
            )
        if status is TransactionStatus.UNKNOWN:
            raise StoreUnavailable("the session's connection to the database was lost", hint="open another")
        if status is TransactionStatus.IDLE and has_begun:
            raise StoreError(
                "the session's transaction has ended inside of the block",
                hint="commit, or roll back, after the block of orders.transaction(within=…)",
            )
        if status is TransactionStatus.IDLE and self._driver.autocommit:
            raise StoreError(
                "no transaction is open in the session: each statement would be committed by itself",
                hint="begin one, by connection.transaction(), session.begin() or atomic()",
            )

    def _refuse_mismatch(self, identity: Identity, participant: str) -> None:
        where = _called(self._driver)
        try:
            rows = self._statements.execute(_FACTS)
        except psycopg.Error as error:
            if error.sqlstate not in _NO_TABLES:
                raise store_error(where, error) from error
            raise StoreMismatch(
                f"the session's database {where} has no tables of choreo's",
                hint=f"open the session on the store's database, {self._name}, or run `choreo store "
                "migrate` for it, and give it to choreo.connect()",
            ) from error
        if not rows:
            raise StoreError(f"the database {where} has lost its id", hint="restore it from a backup")
        store_id, database, owner, is_read_only, applied = rows[0]
        if Identity(store_id, database) != identity:
            raise StoreMismatch(
                f"the session's database is {where}, but the store is in another one, {self._name}: "
                "what is started would not be committed together with the session's rows",
                hint="open the session on the store's database, or give that of the session to "
                "choreo.connect()",
            )
        if owner not in (None, participant):
            raise StoreMismatch(
                f"the session's database {where} is the store of {owner!r}, not of {participant!r}",
                hint="each participant has a store of its own: open the session on that of this one",
            )
        if others := set(applied).symmetric_difference(name for name, _ in MIGRATIONS):
            raise StoreError(
                f"the tables of {where} are of another version of choreo ({', '.join(sorted(others))})",
                hint="restart this process with the newer version, or run `choreo store migrate`",
            )
        if is_read_only:
            raise StoreError(
                "the session's transaction only reads, and so can't start a saga",
                hint="begin it READ WRITE, on the primary",
            )

    def _run(self, sql: str, values: Sequence[object] = ()) -> Sequence[Any]:
        try:
            return self._statements.execute(sql, values)
        except UNWRITABLE as error:
            if is_conflict(error):
                raise StoreUnavailable(
                    f"the session's transaction met another one: {first_line(error)}",
                    hint="roll it back, and do it again",
                ) from error
            raise store_error(_called(self._driver), error) from error

    def _undo(self) -> None:
        """Roll back to the savepoint, where the transaction is still open, and this process's."""
        status = TransactionStatus(self._driver.pgconn.transaction_status)
        is_open = status in (TransactionStatus.INTRANS, TransactionStatus.INERROR)
        if is_open and os.getpid() == self._process:
            self._run(_ROLL_BACK)
            self._run(_RELEASE)


def _refuse_others(driver: Any, name: str) -> None:
    """Refuse what is no connection of psycopg 3's, or one of choreo's own."""
    if isinstance(driver, GuardedConnection):
        raise StoreError(
            "within= is choreo's own transaction, which is no session of the service's",
            hint="inside of orders.transaction() use its tx; a handler returns events: to start a saga, "
            "declare it blocking=True, and open a session of its own",
        )
    if isinstance(driver, psycopg.Connection | psycopg.AsyncConnection):
        return
    kind = type(driver)
    called = f"{kind.__module__.partition('.')[0]}.{kind.__qualname__}"
    raise ConfigurationError(
        f"within= is on a connection of another driver, {called}; the store {name} is joined by psycopg 3",
        hint="in SQLAlchemy, postgresql+psycopg:// for both kinds of engine; with asyncpg, start sagas in "
        "a transaction of choreo's own: orders.transaction()",
    )


def _called(driver: Any) -> str:
    """Return how the session's database is called in messages."""
    info = driver.info
    try:
        return f"postgresql://{info.host}:{info.port}/{info.dbname}"
    except psycopg.Error:  # a connection that was lost
        return "of the session"


@contextmanager
def joined_in(
    name: str, identity: Identity, transaction: OpenTransaction, participant: str
) -> Iterator[PostgreSQLJoined]:
    """Yield the store ``identity`` inside of a transaction of the service's own; see `PostgreSQLJoined`."""
    yield PostgreSQLJoined(name, identity, transaction, participant)
