"""Refusing handlers' attempts to commit, to roll back or to close while a turn is open."""

from __future__ import annotations

import sqlite3
from typing import Any, Literal, NoReturn

from choreo.errors import StoreError, TransactionControl
from choreo.store.sqlite import forks
from choreo.store.sqlite.files import Identity

_SETTINGS = frozenset(
    (
        *("query_only", "locking_mode", "busy_timeout", "synchronous", "journal_mode", "secure_delete"),
        *("writable_schema", "ignore_check_constraints", "max_page_count", "hard_heap_limit"),
        *("soft_heap_limit", "wal_autocheckpoint", "trusted_schema", "schema_version", "mmap_size"),
    )
)
"""The settings of a connection that would outlive the turn in which a handler changes them."""

_ATTACHMENTS = {sqlite3.SQLITE_ATTACH: "ATTACH", sqlite3.SQLITE_DETACH: "DETACH"}


class GuardedConnection(sqlite3.Connection):
    """A connection that refuses to be closed while a turn is open, as ``with ctx.db:`` would."""

    guard: Guard | None = None
    identity: Identity | None = None

    def close(self) -> None:
        """Close the connection, or refuse to."""
        self._deny("CLOSE")
        super().close()
        forks.closed(self)

    def set_authorizer(self, *arguments: Any, **more: Any) -> None:
        """Set the authorizer, or refuse to."""
        self._deny("set_authorizer()")
        super().set_authorizer(*arguments, **more)

    def set_progress_handler(self, *arguments: Any, **more: Any) -> None:
        """Set the progress handler, or refuse to."""
        self._deny("set_progress_handler()")
        super().set_progress_handler(*arguments, **more)

    def _deny(self, what: str) -> None:
        if self.guard is not None and self.guard.phase == "turn":
            self.guard.denied = what
            raise sqlite3.ProgrammingError("not authorized")

    def disown(self) -> None:
        """Refuse every use from now on: another process opened the connection."""
        if self.guard is not None:
            self.guard.phase = "inherited"
        self.__class__ = InheritedConnection


class InheritedConnection(GuardedConnection):
    """A connection of the process that this one was forked from; to close it does nothing."""

    def close(self) -> None:
        """Do nothing."""

    def _refuse(self, *_: Any, **__: Any) -> NoReturn:
        raise inherited()

    execute = executemany = executescript = cursor = _refuse
    commit = rollback = backup = serialize = _refuse


def inherited() -> StoreError:
    """Return the error for a transaction, or a store, that is used by a forked process."""
    return StoreError(
        "this transaction, or store, is of the process that opened it; this one was forked since",
        hint=forks.HINT,
    )


class Guard:
    """An authorizer of one connection that denies BEGIN, COMMIT and ROLLBACK while a turn is open.

    SQLite asks it when a statement is prepared, never when it runs, so it costs the hot path nothing.
    Savepoints are allowed. ATTACH and DETACH are denied too, as a second file would not be committed
    together with the store's, and settings of the connection that would outlive the turn.

    SQLite's own answer to a denial is a vague "not authorized", which a handler may even swallow;
    so ``denied`` keeps what was tried until `enforce` raises for it.

    >>> connection = sqlite3.connect(":memory:", isolation_level=None)
    >>> guard = Guard()
    >>> guard.watch(connection)
    >>> guard.phase = "turn"
    >>> connection.execute("COMMIT")
    Traceback (most recent call last):
    sqlite3.DatabaseError: not authorized
    >>> guard.denied
    'COMMIT'
    >>> connection.close()
    """

    def __init__(self) -> None:
        self.phase: Literal["outside", "turn", "ending", "inherited"] = "outside"
        self.denied = ""
        self._stale = False

    def watch(self, connection: sqlite3.Connection) -> None:
        """Guard a connection: every statement that is prepared from now on, and its closing."""
        connection.set_authorizer(self._authorize)
        if isinstance(connection, GuardedConnection):
            connection.guard = self

    def renew(self, connection: sqlite3.Connection) -> None:
        """Guard statements, too, that were prepared, and allowed, outside of a turn.

        Python keeps prepared statements, and SQLite does not ask twice about one; setting the
        authorizer anew makes it ask. This is cheap where there are none.
        """
        if self._stale:
            self._stale = False
            self.watch(connection)

    def enforce(self, error: BaseException | None) -> None:
        """Raise `TransactionControl` for what was denied, if anything was, and forget it.

        ``error`` is the exception that leaves the turn; one that ends the program takes precedence.
        """
        denied, self.denied = self.denied, ""
        if denied and (error is None or isinstance(error, Exception)):
            raise TransactionControl(
                f"{denied} was refused inside a turn",
                hint="the turn commits for all of its items together; to undo a part, use db.atomic()",
            ) from error

    def _authorize(
        self, action: int, first: str | None, second: str | None, schema: str | None, source: str | None
    ) -> int:
        if action == sqlite3.SQLITE_TRANSACTION:
            return self._judge(first or "")
        if action == sqlite3.SQLITE_PRAGMA and self.phase == "turn":
            if second is not None and str(first).lower() in _SETTINGS:
                self.denied = f"PRAGMA {first}"
                return sqlite3.SQLITE_DENY
            return sqlite3.SQLITE_OK
        if action in _ATTACHMENTS and self.phase == "turn":
            self.denied = _ATTACHMENTS[action]
            return sqlite3.SQLITE_DENY
        return sqlite3.SQLITE_OK

    def _judge(self, operation: str) -> int:
        if self.phase == "turn":
            self.denied = operation
            return sqlite3.SQLITE_DENY
        # A BEGIN that is kept prepared does no harm: SQLite refuses it inside a transaction.
        if self.phase == "outside" and operation != "BEGIN":
            self._stale = True
        return sqlite3.SQLITE_OK
