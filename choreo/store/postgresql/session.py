"""``Session``: the one connection of a store, opened again where it was lost."""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any

import psycopg
from psycopg.pq import TransactionStatus
from psycopg.rows import tuple_row

from choreo.errors import StoreError, StoreGone, StoreUnavailable
from choreo.store.postgresql.errors import opening_error, parsed, shown, store_error
from choreo.store.postgresql.guard import Guard, GuardedConnection
from choreo.store.postgresql.schema import require_tables

# A server whose machine has vanished answers nothing: the kernel finds out, in less than a minute.
_DEFAULTS = {
    "connect_timeout": 5,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 4,
    "tcp_user_timeout": 30_000,
}
_FACTS = "SELECT pg_is_in_recovery(), current_setting('server_encoding'), pg_backend_pid()"
_PREPARED_AFTER = 5
"""A statement is prepared once it was executed so often."""

_SCHEMA = "SELECT current_schema()"
_ID = "SELECT store_id FROM choreo.store"
# Whoever had the connection that was lost may still be committing: this waits for the end of that.
_WAIT = """
BEGIN READ WRITE; SET LOCAL lock_timeout = {}; {}; SELECT store_id FROM choreo.store FOR UPDATE; COMMIT
"""


Statement = tuple[str, Sequence[object]]
"""A statement, and its values."""


def connect(address: str, name: str, *, reading: bool = False) -> psycopg.Connection[Any]:
    """Return a plain connection in autocommit mode. Raises `StoreError`.

    It may be to a standby where it is only for ``reading``.
    """
    connection: psycopg.Connection[Any] = _connected(psycopg.Connection, address, name, reading=reading)
    return connection


def _connected(kind: type[Any], address: str, name: str, *, reading: bool = False) -> Any:
    given = _DEFAULTS | {key: value for key, value in parsed(address).items() if value is not None}
    given["client_encoding"] = "UTF8"
    try:
        connection = kind.connect(**given, autocommit=True, prepare_threshold=None)
    except (psycopg.Error, UnicodeError, ValueError) as error:
        raise opening_error(name, error) from None  # its text may hold more than may be shown
    try:
        _set_up(connection, name, reading=reading)
    except BaseException:
        connection.close()
        raise
    return connection


def _set_up(connection: psycopg.Connection[Any], name: str, *, reading: bool) -> None:
    try:
        row = connection.execute(_FACTS).fetchone()
    except psycopg.Error as error:
        raise store_error(name, error) from error
    assert row is not None
    is_standby, encoding, process = row
    if encoding != "UTF8":
        raise StoreError(
            f"the database {name} has the encoding {encoding}, which can't hold every text",
            hint="make one with createdb --encoding UTF8 --template template0",
        )
    # Prepared statements are of one session, and a pooler, which names no process of the server's, gives a
    # session to somebody else.
    if process == connection.info.backend_pid:
        connection.prepare_threshold = _PREPARED_AFTER
    if is_standby and not reading:
        raise StoreError(
            f"the database {name} is a read-only standby", hint="give the address of the primary"
        )


def inherited() -> StoreError:
    """Return the error for a transaction, or a store, that is used by a forked process."""
    return StoreError(
        "this transaction, or store, is of the process that opened it; this one was forked since",
        hint="fork outside of transactions and of workers, or start processes by spawn or exec",
    )


def _refuse_own_schema(connection: psycopg.Connection[Any], name: str) -> None:
    """Refuse a role whose tables would be made among choreo's, as of one that is called like their schema."""
    row = connection.execute(_SCHEMA).fetchone()
    if row == ("choreo",):
        raise StoreError(
            f"the database {name} would put the service's own tables into the schema choreo",
            hint='ALTER ROLE … SET search_path = public; "$user" in it finds the schema of a role\'s name',
        )


class Session:
    """The connection of a store, and the cursor of its own statements.

    It belongs to the thread that made it, unless ``any_thread`` may use it, one after the other; and to the
    process that made it. ``patience`` is how many seconds it waits for other writers. ``on_renewal`` is what
    another connection locks first, as the one that was lost may have it locked.
    """

    def __init__(self, address: str, guard: Guard, *, any_thread: bool, patience: float) -> None:
        self.name = shown(address)
        self.patience = max(round(patience * 1000), 1)
        self._address = address
        self._guard = guard
        self._thread = None if any_thread else threading.get_ident()
        self._process = os.getpid()
        self._is_closed = False
        self.on_renewal = ""
        self.connection = self._open()
        self.cursor = psycopg.Cursor(self.connection, row_factory=tuple_row)
        try:
            self.store_id = self._id()
        except psycopg.Error as error:
            self.drop()
            raise store_error(self.name, error) from error
        except BaseException:
            self.drop()
            raise

    def _open(self, *, is_again: bool = False) -> GuardedConnection:
        try:
            connection: GuardedConnection = _connected(GuardedConnection, self._address, self.name)
        except StoreError as error:
            if not is_again:
                raise
            # Whatever the server says, as it could be opened before.
            raise StoreUnavailable(error.message, hint=error.hint) from error
        connection.guard = self._guard
        connection.reset()
        try:
            connection.execute(f"BEGIN READ ONLY; SET LOCAL lock_timeout = {self.patience}".encode())
            require_tables(connection, self.name)
            _refuse_own_schema(connection, self.name)
            connection.execute("COMMIT")
        except psycopg.Error as error:
            connection.close()
            raise store_error(self.name, error) from error
        except BaseException:
            connection.close()
            raise
        return connection

    def _id(self) -> str:
        rows = self.execute_alone(_ID).fetchall()
        if not rows:
            raise StoreError(f"the database {self.name} has lost its id", hint="restore it from a backup")
        return str(rows[0][0])

    @property
    def status(self) -> TransactionStatus:
        """The state of the transaction."""
        return TransactionStatus(self.connection.pgconn.transaction_status)

    @property
    def is_usable(self) -> bool:
        """Whether this process may use the connection, and it was not lost."""
        return os.getpid() == self._process and not self.connection.closed

    def check(self) -> None:
        """Raise `StoreError` where another thread or a forked process uses the store, or it is closed."""
        if os.getpid() != self._process:
            raise inherited()
        if self._thread is not None and threading.get_ident() != self._thread:
            raise StoreError("a store is used in the thread that opened it", hint="open one in each thread")
        if self._is_closed:
            raise StoreError(f"the store {self.name} is closed")

    def renew(self) -> bool:
        """Open the connection again where it was lost; whether it was. Raises `StoreError`."""
        if not self.connection.closed:
            return False
        self.connection = self._open(is_again=True)
        self.cursor = psycopg.Cursor(self.connection, row_factory=tuple_row)
        try:
            self.cursor.execute(_WAIT.format(self.patience, self.on_renewal).encode())
            found = self._id()
        except psycopg.Error as error:
            self.drop()
            raise store_error(self.name, error) from error
        if found != self.store_id:
            self.drop()
            raise StoreGone(
                f"the store {self.name} was replaced by another one while it was open",
                hint="start again to use the one that is there now",
            )
        return True

    def execute(self, sql: str, values: Sequence[object] = ()) -> psycopg.Cursor[Any]:
        """Execute a statement of the store's own. Raises `psycopg.Error`."""
        return self.cursor.execute(sql.encode(), values or None)

    def execute_all(self, statements: Sequence[Statement]) -> list[psycopg.Cursor[Any]]:
        """Execute statements of the store's own in one round trip, all that come before one that fails.

        Raises `psycopg.Error`.
        """
        cursors = [psycopg.Cursor(self.connection, row_factory=tuple_row) for _ in statements]
        with self.connection.pipeline() if len(statements) > 1 else nullcontext():
            for cursor, (sql, values) in zip(cursors, statements, strict=True):
                cursor.execute(sql.encode(), values or None)
        return cursors

    def execute_alone(self, sql: str, values: Sequence[object] = ()) -> psycopg.Cursor[Any]:
        """Execute a statement outside of a turn, which waits for others no longer than a turn does.

        Both statements are one message, and so one transaction. Raises `psycopg.Error`.
        """
        cursor = psycopg.ClientCursor(self.connection, row_factory=tuple_row)
        cursor.execute(f"SET LOCAL lock_timeout = {self.patience}; {sql}".encode(), values or None)
        cursor.set_result(1)
        return cursor

    def drop(self) -> None:
        """Give up the connection, whatever its state is."""
        psycopg.Connection.close(self.connection)

    def close(self) -> None:
        """Close the connection; in a forked process nothing is closed, as it is the parent's."""
        if os.getpid() != self._process:
            return
        self._is_closed = True
        self.connection.close()
