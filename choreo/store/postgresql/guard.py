"""Refusing handlers' attempts to commit, to roll back or to close while a turn is open."""

from __future__ import annotations

import inspect
from collections.abc import Generator, Iterator, Sequence
from typing import Any, Literal, NoReturn, TypeVar

import psycopg
from psycopg import generators
from psycopg.pq import ExecStatus
from psycopg.rows import tuple_row

from choreo.errors import TransactionControl
from choreo.store.postgresql.control import refused_in
from choreo.store.postgresql.errors import is_conflict, is_passing, is_stale

T = TypeVar("T")

_AS_SET = b"SET LOCAL lock_timeout TO DEFAULT"

_HINT = "the turn commits for all of its items together; to undo a part, use `with db.transaction():`"


class Guard:
    """What a turn allows on its connection; ``denied`` keeps what was tried until `enforce` raises for it.

    ``depth`` counts the savepoints that are open, ``unmade`` the innermost of them that are not made yet: the
    first statement inside makes them, unless the turn ``skips`` them. ``is_spoiled`` is set where one that
    was skipped is missed. ``timeout`` is the statement by which lock_timeout is set now: the store waits for
    other transactions ``briefly``, as nobody would hear of it, handlers as they like.
    ``loss`` is the error by which the transaction was lost as a whole, whoever caught it; ``passing`` is the
    last one that another transaction or the server caused, and that a handler may have dealt with.
    """

    def __init__(self) -> None:
        self.phase: Literal["outside", "turn", "ending"] = "outside"
        self.denied = ""
        self.depth = self.unmade = 0
        self.skips = self.is_spoiled = False
        self.savepoint = self.briefly = self.timeout = b""
        self.loss: psycopg.Error | None = None
        self.passing: psycopg.Error | None = None
        self.streams: list[Generator[Any, None, None]] = []
        self._sets_timeout = False

    @property
    def is_on(self) -> bool:
        """Whether a turn is open."""
        return self.phase == "turn"

    def deny(self, what: str) -> NoReturn:
        """Refuse an attempt."""
        self.denied = what
        raise _refusal(what)

    def judge(self, connection: GuardedConnection, query: Any) -> None:
        """Refuse a text with a statement that would end the turn or outlive it."""
        if not self.is_on:
            return
        text = _text_of(connection, query)
        refused = refused_in(text)
        if refused:
            self.deny(refused)
        self._sets_timeout = self._sets_timeout or "lock_timeout" in text

    def enforce(self, error: BaseException | None) -> None:
        """Raise `TransactionControl` for what was denied, if anything was, and forget it.

        ``error`` is the exception that leaves the turn; one that ends the program takes precedence.
        """
        refused = self.refused(error)
        self.denied = ""
        if refused is not None and refused is not error:
            raise refused from error

    def refused(self, error: BaseException | None) -> BaseException | None:
        """Return the error for what was denied, ``error`` where nothing was or that takes precedence."""
        is_first = error is not None and not isinstance(error, Exception)
        if not self.denied or is_first or isinstance(error, TransactionControl):
            return error
        return _refusal(self.denied)

    def note(self, error: psycopg.Error, *, is_broken: bool) -> None:
        """Note an error of the connection."""
        if is_broken or is_conflict(error):
            self.loss = error
        elif is_passing(error):
            self.passing = error

    def blame(self, error: BaseException | None) -> None:
        """Take an error that leaves a handler for the loss of the turn where it is the passing one."""
        seen = error
        while seen is not None and self.loss is None:
            if seen is self.passing:
                self.loss = self.passing
            seen = seen.__cause__

    @property
    def has_first(self) -> bool:
        """Whether something is to be executed before the next statement."""
        return self.unmade > 0 or self.timeout is not (_AS_SET if self.depth else self.briefly)

    def first(self) -> list[bytes]:
        """Return what is to be executed before the next statement: savepoints, and for what it waits."""
        statements = [] if self.skips else [self.savepoint] * self.unmade
        self.unmade = 0
        wanted = _AS_SET if self.depth else self.briefly
        if self.timeout is not wanted:
            self.timeout = wanted
            statements[1:1] = [wanted]  # in the outermost savepoint, whose end takes it back
        return statements

    def leave_skipped(self) -> None:
        """Leave a savepoint that was skipped, inside of which lock_timeout may have been set."""
        if self._sets_timeout:
            self._sets_timeout, self.timeout = False, b""

    def end_streams(self) -> bool:
        """End the statements whose rows a handler has not all read; whether there were any."""
        unread = [each for each in self.streams if inspect.getgeneratorstate(each) != inspect.GEN_CLOSED]
        self.streams.clear()
        for each in unread:
            each.close()
        return bool(unread)

    def begin(self) -> None:
        """Begin a turn."""
        self.phase, self.loss, self.passing = "turn", None, None
        self.timeout = self.briefly

    def end(self) -> None:
        """End the turn: nothing is refused any more."""
        self.phase, self.denied, self.depth, self.unmade = "outside", "", 0, 0
        self.skips = self.is_spoiled = self._sets_timeout = False
        self.streams.clear()


def _refusal(what: str) -> TransactionControl:
    return TransactionControl(f"{what} was refused inside a turn", hint=_HINT)


def _text_of(connection: GuardedConnection, query: Any) -> str:
    if isinstance(query, str):
        return query
    if isinstance(query, bytes):
        return query.decode(errors="replace")
    if isinstance(query, psycopg.sql.Composable):
        return query.as_string(connection)
    return "".join(getattr(query, "strings", ()))  # a template


class GuardedConnection(psycopg.Connection[Any]):
    """A connection on which a handler can't end the turn, however it spells it.

    Transactions are begun and ended by statements of the turn: to psycopg, it is in autocommit mode.
    """

    guard: Guard | None = None

    def wait(self, gen: Generator[Any, Any, T], *arguments: Any, **more: Any) -> T:
        """Wait for the server, after what is to be executed first."""
        guard = self.guard
        if guard is None or not guard.is_on:
            return super().wait(gen, *arguments, **more)
        try:
            if guard.has_first and (statements := guard.first()):
                super().wait(self._execute_first(statements))
            return super().wait(gen, *arguments, **more)
        except psycopg.Error as error:
            if is_stale(error):
                self.prepare_threshold = None
            guard.note(error, is_broken=self.broken)
            raise

    def _execute_first(self, statements: Sequence[bytes]) -> Generator[Any, Any, None]:
        if self._pipeline:
            for each in statements:
                yield from self._exec_command(each)
            return
        self.pgconn.send_query(b"; ".join(statements))
        for result in (yield from generators.execute(self.pgconn)):
            if result.status != ExecStatus.COMMAND_OK:
                raise psycopg.errors.error_from_result(result)

    def reset(self) -> None:
        """Take back what a handler has set for the rows of later ones."""
        self.row_factory = tuple_row
        self.cursor_factory = GuardedCursor
        self.server_cursor_factory = psycopg.ServerCursor

    @property
    def autocommit(self) -> bool:
        """Whether each statement is committed by itself: never inside a turn."""
        return self._autocommit and not self._is_on

    @autocommit.setter
    def autocommit(self, value: bool) -> None:
        self.set_autocommit(value)

    def set_autocommit(self, value: bool) -> None:
        """Set the mode, or refuse to."""
        self._deny("autocommit")
        super().set_autocommit(value)

    def set_isolation_level(self, value: psycopg.IsolationLevel | None) -> None:
        """Set the level of later transactions, or refuse to."""
        self._deny("isolation_level")
        super().set_isolation_level(value)

    def set_read_only(self, value: bool | None) -> None:
        """Set whether later transactions only read, or refuse to."""
        self._deny("read_only")
        super().set_read_only(value)

    def set_deferrable(self, value: bool | None) -> None:
        """Set whether later transactions are deferrable, or refuse to."""
        self._deny("deferrable")
        super().set_deferrable(value)

    def commit(self) -> None:
        """Commit, or refuse to."""
        self._deny("COMMIT")
        super().commit()

    def rollback(self) -> None:
        """Roll back, or refuse to."""
        self._deny("ROLLBACK")
        super().rollback()

    def close(self) -> None:
        """Close the connection, or refuse to."""
        self._deny("CLOSE")
        super().close()

    def tpc_begin(self, xid: Any) -> None:
        """Begin a transaction in two phases, or refuse to."""
        self._deny("BEGIN")
        super().tpc_begin(xid)

    def __exit__(self, *error: Any) -> None:
        self._deny("COMMIT")
        super().__exit__(*error)

    @property
    def _is_on(self) -> bool:
        return self.guard is not None and self.guard.is_on

    def _deny(self, what: str) -> None:
        if self.guard is not None and self.guard.is_on:
            self.guard.deny(what)


class GuardedCursor(psycopg.Cursor[Any]):
    """A cursor that refuses statements which would end the turn."""

    def _judge(self, query: Any) -> None:
        connection = self._conn
        if isinstance(connection, GuardedConnection) and connection.guard is not None:
            connection.guard.judge(connection, query)

    def execute(self, query: Any, *arguments: Any, **more: Any) -> Any:
        """Execute a statement, or refuse to."""
        self._judge(query)
        return super().execute(query, *arguments, **more)

    def executemany(self, query: Any, *arguments: Any, **more: Any) -> None:
        """Execute a statement for many values, or refuse to."""
        self._judge(query)
        super().executemany(query, *arguments, **more)

    def copy(self, statement: Any, *arguments: Any, **more: Any) -> Any:
        """Copy, or refuse to."""
        self._judge(statement)
        return super().copy(statement, *arguments, **more)

    def stream(self, query: Any, *arguments: Any, **more: Any) -> Iterator[Any]:
        """Yield the rows of a statement as they come, or refuse to."""
        self._judge(query)
        rows = super().stream(query, *arguments, **more)
        connection = self._conn
        if isinstance(connection, GuardedConnection) and connection.guard is not None:
            connection.guard.streams.append(rows)  # type: ignore[arg-type]
        return rows
