"""Rows of starts and cancellations that are written through a connection of the service's own.

Such a connection is not set up as a store's is, so what it may have otherwise is looked at first: another
file, a table of its own in the place of one of choreo's, a commit that is not synced, rows as other objects.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from choreo.errors import StoreError, StoreMismatch, StoreUnavailable
from choreo.ports.joined import OpenTransaction
from choreo.records import Entry, Unpublished
from choreo.store.heads import Heads
from choreo.store.nesting import Occupation, is_joined, refuse_inside
from choreo.store.sqlite import forks
from choreo.store.sqlite.dialect import SQL
from choreo.store.sqlite.errors import is_busy, refuse_unidentified, refuse_views, store_error
from choreo.store.sqlite.files import Identity, identity_of
from choreo.store.sqlite.guard import GuardedConnection, inherited
from choreo.store.sqlite.heads import chains_in
from choreo.store.sqlite.migrations import NAMES, TABLES
from choreo.store.sqlite.pending import ENTRIES, UNPUBLISHED
from choreo.store.sqlite.rows import UNWRITABLE

# A write that changes nothing: the driver begins its transaction where none has begun, and the lock is taken
# before anything is read, as a transaction that has read before another one wrote may not write any more.
_LOCK = "UPDATE main.choreo_store SET id = id WHERE 0"
_FILES = "PRAGMA database_list"  # reads nothing, unlike a SELECT on it
_SYNCHRONOUS = "PRAGMA main.synchronous"
_FULL = 2
_OWNER = "SELECT store_id, participant FROM choreo_store"
_APPLIED = "SELECT name FROM main._sqlite_migrations WHERE migration_set = 'choreo'"
_HIDING = f"SELECT name FROM sqlite_temp_master WHERE name IN ({', '.join('?' * len(TABLES))})"
_ATTRIBUTES = ("in_transaction", "isolation_level", "row_factory", "text_factory")


class _Statements:
    """Executes statements on the connection; rows are tuples with texts, whatever its factories are."""

    def __init__(self, transaction: OpenTransaction) -> None:
        self._connection = transaction.connection
        self._driver = transaction.driver

    def execute(self, sql: str, values: Sequence[object] = ()) -> _Rows:
        with self._cursor() as cursor:
            cursor.execute(sql, values)
            return _Rows(cursor.fetchall() if cursor.description else ())

    def executemany(self, sql: str, rows: Sequence[Sequence[object]]) -> None:
        if rows:
            with self._cursor() as cursor:
                cursor.executemany(sql, rows)

    @contextmanager
    def _cursor(self) -> Iterator[Any]:
        driver = self._driver
        factories = driver.row_factory, driver.text_factory
        driver.row_factory, driver.text_factory = None, str
        try:
            cursor = self._connection.cursor()
            try:
                yield cursor
            finally:
                cursor.close()
        finally:
            driver.row_factory, driver.text_factory = factories


class _Rows:
    """The rows of a statement, which has ended."""

    def __init__(self, rows: Iterable[Any]) -> None:
        self._rows = list(rows)

    def __iter__(self) -> Iterator[Any]:
        return iter(self._rows)

    def fetchall(self) -> list[Any]:
        return self._rows

    def fetchone(self) -> Any:
        return self._rows[0] if self._rows else None


class SQLiteJoined:
    """A `choreo.ports.JoinedStore` in the SQLite file at ``path``, for one block.

    ``store_id`` is the id that the store is known to have, empty where it isn't known. Raises `StoreMismatch`
    where the transaction is none of this store, `StoreError` where what is written through it could be lost,
    and `NestedTransaction` where it would wait for another one of this thread.
    """

    def __init__(self, path: str, transaction: OpenTransaction, participant: str, store_id: str = "") -> None:
        self._path = path
        self._transaction = transaction
        self._driver = transaction.driver
        self._statements: Any = _Statements(transaction)
        self._is_inherited = False
        self._occupation: Occupation | None = None
        self.store_id = store_id
        try:
            self.identity: Identity | None = self._identity()
            self._lock()
            self._refuse_others(participant)
        except (sqlite3.Error, UnicodeError) as error:
            raise self._failed(error) from error
        if not is_joined(self.identity, self._driver):
            self._occupation = Occupation(self.identity, moves=True, driver=self._driver)
        forks.opened(self)

    @property
    def db(self) -> Any:
        """What the service gave for the transaction."""
        return self._transaction.given

    def close(self) -> None:
        """End the block; the transaction goes on."""
        if self._occupation is not None:
            self._occupation.end()
        forks.closed(self)

    def disown(self) -> None:
        """Refuse every use from now on: another process opened the connection."""
        self._is_inherited = True

    @contextmanager
    def savepoint(self) -> Iterator[None]:
        """Open a savepoint, to which an exception that leaves it rolls back."""
        self._refuse_ended()
        self._run("SAVEPOINT choreo_joined")
        try:
            yield
        except BaseException:
            self._undo()
            raise
        self._run("RELEASE choreo_joined")

    def history(self, saga_id: str, saga_type: str = "") -> Sequence[Entry]:
        """Return a saga's entries, oldest first; without a type, those of all sagas with the id."""
        self._refuse_ended()
        found = (
            self._run(SQL.history, (saga_id, saga_type))
            if saga_type
            else self._run(SQL.histories, (saga_id,))
        )
        return [Entry._make(row) for row in found]

    def is_keyed_by_id(self, saga_id: str, saga_type: str) -> bool:
        """Whether the store held a saga before it was keyed by saga type and id."""
        return self._run(SQL.is_keyed_by_id, (saga_id, saga_type)).fetchone() is not None

    def emit(self, entry: Entry, rows: Sequence[Unpublished]) -> None:
        """Write an event: its entry of the saga log, and its rows of the outbox, one for each topic."""
        try:
            # Its own heads each time: a savepoint of the service's may undo what was written.
            ENTRIES.write(self._statements, Heads(chains_in(self._statements)).linked([entry]))
            UNPUBLISHED.write(self._statements, [row[:-1] for row in rows])
        except UNWRITABLE as error:
            raise self._failed(error) from error

    def _identity(self) -> Identity:
        """Return the identity of the store's file, which is that of the connection, too."""
        if isinstance(self._driver, GuardedConnection):
            raise StoreError(
                "within= is choreo's own transaction, which is no session of the service's",
                hint="inside of orders.transaction() use its tx; a handler returns events: to start a saga, "
                "declare it blocking=True, and open a session of its own",
            )
        if not all(hasattr(self._driver, each) for each in _ATTRIBUTES):
            kind = type(self._driver)
            raise StoreMismatch(
                f"the session is on {kind.__module__}.{kind.__qualname__}, but the store {self._path} is "
                "an SQLite file",
                hint="give choreo.connect() the database of the session",
            )
        forks.refuse_inherited(self._path)
        if self._path == ":memory:":
            raise StoreError(
                "the store is in memory, where no session of the service's can join it",
                hint="keep it in a file: in a test, Harness(…, folder=tmp_path)",
            )
        own, found = identity_of(self._path), self._file() or "in memory"
        if own is None:
            raise self._without_tables()
        if identity_of(found) != own:
            raise StoreMismatch(
                f"the session's database is {found}, but the store is {self._path}: "
                "what is started would not be committed together with the session's rows",
                hint="open the session on the store's file, or give that of the session to choreo.connect()",
            )
        return own

    def _file(self) -> str:
        return next((str(file) for _, name, file in self._run(_FILES) if name == "main"), "")

    def _lock(self) -> None:
        was_open = self._driver.in_transaction
        if not was_open and _commits_by_itself(self._driver):
            raise StoreError(
                "no transaction is open in the session: each statement would be committed by itself",
                hint="begin one, by BEGIN IMMEDIATE, session.begin() or atomic(), and commit after the block",
            )
        if not is_joined(self.identity, self._driver):
            refuse_inside(self._path, self.identity, blocks=self._driver is self._transaction.connection)
        if self._run(_SYNCHRONOUS).fetchone()[0] < _FULL:
            raise StoreError(
                "the session's commits are not synced: what it starts could be published, and lost",
                hint="PRAGMA synchronous = FULL on its connections",
            )
        try:
            self._statements.execute(_LOCK)
        except sqlite3.OperationalError as error:
            if "no such table" in str(error):
                raise self._without_tables() from error
            if is_busy(error) and was_open:
                raise StoreUnavailable(
                    f"the database {self._path} is locked, or the session has read before another one wrote",
                    hint="roll back and do it again; BEGIN IMMEDIATE locks before it reads, and so waits",
                ) from error
            raise

    def _refuse_others(self, participant: str) -> None:
        refuse_views(self._statements, self._path)
        if hiding := self._run(_HIDING, TABLES).fetchone():
            raise StoreError(
                f"the session has a temporary table {hiding[0]}, which hides the store's",
                hint="give it another name",
            )
        if applied := {row[0] for row in self._run(_APPLIED)}.symmetric_difference(NAMES):
            raise StoreError(
                f"the tables of {self._path} are of another version of choreo ({', '.join(sorted(applied))})",
                hint="restart this process, or start the worker, with the newer version",
            )
        refuse_unidentified(self._statements, self._path)
        store_id, owner = self._run(_OWNER).fetchone()
        if self.store_id not in ("", store_id):
            raise StoreMismatch(
                f"another store has taken the place of {self._path} since this process connected to it",
                hint="start this process again to use that one",
            )
        if owner not in (None, participant):
            raise StoreMismatch(
                f"the session's database {self._path} is the store of {owner!r}, not of {participant!r}",
                hint="each participant has a store of its own: open the session on that of this one",
            )
        self.store_id = store_id

    def _without_tables(self) -> StoreError:
        return StoreError(
            f"the store {self._path} has no tables of choreo's yet",
            hint="choreo.connect(…).open() makes them when the process starts, and so does the worker",
        )

    def _refuse_ended(self) -> None:
        forks.notice()
        if self._is_inherited:
            raise inherited()
        self._transaction.check()
        if not self._driver.in_transaction:
            raise StoreError(
                "the session's transaction has ended inside of the block",
                hint="commit, or roll back, after the block of orders.transaction(within=…)",
            )

    def _run(self, sql: str, values: Sequence[object] = ()) -> _Rows:
        try:
            return self._statements.execute(sql, values)  # type: ignore[no-any-return]
        except (sqlite3.Error, UnicodeError) as error:
            raise self._failed(error) from error

    def _undo(self) -> None:
        if self._is_inherited or self._driver.in_transaction is False:
            return  # where SQLite has undone the whole transaction, as for a disk that is full
        self._run("ROLLBACK TO choreo_joined")
        with suppress(StoreError):
            self._run("RELEASE choreo_joined")

    def _failed(self, error: Exception) -> StoreError:
        return store_error(self._path, error)


def _commits_by_itself(driver: Any) -> bool:
    """Whether each statement is a transaction of its own, as the driver begins none before a write."""
    autocommit = getattr(driver, "autocommit", -1)  # since Python 3.12; -1 is the way of before
    return autocommit is True or (autocommit == -1 and driver.isolation_level is None)


@contextmanager
def joined_in(
    path: str | os.PathLike[str], transaction: OpenTransaction, participant: str, store_id: str = ""
) -> Iterator[SQLiteJoined]:
    """Yield the store at ``path`` inside of a transaction of the service's; see `SQLiteJoined`."""
    joined = SQLiteJoined(str(path), transaction, participant, store_id)
    try:
        yield joined
    finally:
        joined.close()
