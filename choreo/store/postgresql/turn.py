"""The one transaction of a turn, the savepoints in it, and the claim that fences a replaced worker."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any

import psycopg
from psycopg.pq import PipelineStatus, TransactionStatus

from choreo.errors import (
    Fenced,
    NestedTransaction,
    StoreError,
    StoreGone,
    StoreUnavailable,
    TransactionControl,
    TurnLost,
)
from choreo.store.heads import Heads
from choreo.store.nesting import Occupation, is_inside, refuse_inside
from choreo.store.pending import Mark
from choreo.store.postgresql.errors import UNWRITABLE, away, store_error, turn_error
from choreo.store.postgresql.guard import Guard
from choreo.store.postgresql.pending import PostgreSQLPending
from choreo.store.postgresql.session import Session

# The row is locked until the end of the turn: so turns follow each other, as on a store that is a file, and
# numbers that a sequence gives inside grow in the order of commits.
_BEGIN = """
BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE; SET LOCAL lock_timeout = {};
UPDATE choreo.store SET turns = turns + 1 RETURNING store_id, claimed_by, turns;
SET LOCAL lock_timeout TO DEFAULT
"""
_UPDATE = 2
"""The place of the statement with the rows among those."""

_TAKE = "UPDATE choreo.store SET claimed_by = %s, deaths = deaths + 1 RETURNING deaths - 1"

_LOSSES = 8
"""So many turns in a row may be lost to other transactions, or with the connection, before one is blamed."""


class Claim:
    """A fencing token (Kleppmann, "How to do distributed locking", 2016): the last one to claim wins.

    A store that never claimed is never fenced.
    """

    def __init__(self, session: Session, chance: Callable[[int], bytes]) -> None:
        self._session = session
        self._chance = chance
        self._token = ""

    def take(self) -> int:
        """Claim the store, in the open transaction; if that is rolled back, the next turn raises.

        Return how many claims before this one ended without a release.
        """
        self._token = self._chance(16).hex()
        return int(self._session.execute(_TAKE, (self._token,)).fetchall()[0][0])

    def check(self, token: str | None) -> None:
        """Raise `Fenced` where another worker has claimed the store since."""
        if self._token and token != self._token:
            raise Fenced(
                "another worker has taken this store over", hint="a store serves one worker: stop one of them"
            )


class Turn:
    """The transaction of a turn: on leaving, what is pending is written and committed, or rolled back.

    ``number`` counts the turns of the store, by whichever connection. One that ``moves`` may be left in
    another thread than it was entered in.
    """

    def __init__(
        self,
        session: Session,
        guard: Guard,
        pending: PostgreSQLPending,
        heads: Heads,
        claim: Claim,
        *,
        moves: bool,
    ) -> None:
        self.number = 0
        self._session = session
        self._guard = guard
        self._pending = pending
        self._heads = heads
        self._claim = claim
        self._moves = moves
        self._key = ("postgresql", session.store_id)
        self._begin = _BEGIN.format(session.patience).encode()
        self._occupation: Occupation | None = None
        self._begun = 0
        self._losses = 0

    @property
    def is_open(self) -> bool:
        """Whether a turn is open."""
        return self._guard.is_on

    @property
    def blocks_here(self) -> bool:
        """Whether a turn of this database is open in the calling thread or task."""
        return is_inside(self._key)

    def require(self, what: str) -> None:
        """Raise `StoreError` where ``what`` is called outside of a turn, or the turn is lost."""
        self._session.check()
        if not self._guard.is_on:
            raise StoreError(f"{what}() outside of a turn", hint="open one with turn()")

    def error(self, failure: BaseException) -> StoreError:
        """Return the error of the open turn for one of the database's, or of a value that it can't hold."""
        if self._session.connection.closed and isinstance(failure, psycopg.Error):
            known: StoreError = away(self._session.name, failure)
        else:
            known = turn_error(self._session.name, failure)
        if self._guard.loss is not None and self._losses >= _LOSSES:
            return TurnLost(f"{known.message}, {self._losses} times in a row", hint=known.hint)
        return known

    def refuse_loss(self, error: BaseException | None) -> None:
        """Raise the turn's error where the transaction was lost as a whole, whoever caught that."""
        loss = self._guard.loss
        if loss is not None and (error is None or isinstance(error, Exception)):
            raise self.error(loss) from loss

    def rows(self, sql: str, values: Sequence[object]) -> list[Any]:
        """Execute a statement, inside of a turn or outside, and return its rows. Raises `StoreError`."""
        try:
            return self._execute(sql, values).fetchall()
        except psycopg.Error as error:
            raise self._of_now(error) from error

    def count(self, sql: str, values: Sequence[object]) -> int:
        """Execute a statement, and return how many rows it changed. Raises `StoreError`."""
        try:
            return self._execute(sql, values).rowcount
        except psycopg.Error as error:
            raise self._of_now(error) from error

    def _execute(self, sql: str, values: Sequence[object]) -> psycopg.Cursor[Any]:
        self._session.check()
        if not self._guard.is_on:
            self._session.renew()
        return self._session.execute(sql, values)

    def _of_now(self, error: psycopg.Error) -> StoreError:
        return self.error(error) if self._guard.is_on else self._failed(error)

    def __enter__(self) -> None:
        session = self._session
        session.check()
        refuse_inside(session.name, self._key)
        if self.is_open:
            raise NestedTransaction(
                "a turn is open already", hint="one turn at a time; inside of it, use savepoint()"
            )
        if session.status is TransactionStatus.INTRANS:
            raise StoreError("a transaction is open already", hint="commit it before the turn")
        try:
            self._enter()
        except psycopg.Error as error:
            self._end()
            raise self._failed(error) from error
        except BaseException:
            self._end()
            raise

    def _failed(self, error: psycopg.Error) -> StoreError:
        name = self._session.name
        return away(name, error) if self._session.connection.closed else store_error(name, error)

    def _enter(self) -> None:
        row = self._begin_again() if self._session.renew() else self._try()
        if row is None:
            raise StoreGone(
                f"the store {self._session.name} has lost its id", hint="restore it from a backup"
            )
        store_id, token, number = row
        if store_id != self._session.store_id:
            raise StoreGone(
                f"the store {self._session.name} was replaced by another one while it was open",
                hint="start again to use the one that is there now",
            )
        self._claim.check(token)
        if number != self.number + 1:
            self._heads.clear()
        self._begun = number
        self._occupation = Occupation(self._key, moves=self._moves)
        self._guard.begin()

    def _try(self) -> tuple[str, str | None, int] | None:
        """Begin; on a connection that was lost while nothing happened, begin on another one."""
        try:
            return self._begin_again()
        except psycopg.Error:
            if not self._session.connection.closed:
                raise
            self._session.renew()
            return self._begin_again()

    def _begin_again(self) -> tuple[str, str | None, int] | None:
        cursor = self._session.cursor.execute(self._begin)
        cursor.set_result(_UPDATE)
        row: tuple[str, str | None, int] | None = cursor.fetchone()
        return row

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._session.check()
            self._guard.enforce(error)
            if not isinstance(error, StoreError):
                self.refuse_loss(error)
            if kind is None:
                self._commit()
        except UNWRITABLE as failure:
            raise self.error(failure) from failure
        finally:
            self._end()

    def _commit(self) -> None:
        self.refuse_ended()
        self._pending.write(self._session)
        # PostgreSQL answers the COMMIT of a failed transaction with a rollback, and no error.
        self.refuse_ended()
        self._guard.phase = "ending"
        self._session.execute("COMMIT")
        self._pending.committed()
        if self._begun == self.number + 1:
            self.number = self._begun
        self._losses = 0

    def refuse_ended(self, *, but_failed: bool = False) -> None:
        """Raise `TurnLost` where a statement inside of the turn has ended its transaction, or keeps it busy.

        Also where one has failed, which a savepoint can undo, unless ``but_failed``.
        """
        status = self._session.status
        is_open = self._session.connection.pgconn.pipeline_status != PipelineStatus.OFF
        if status is TransactionStatus.INTRANS and not is_open:
            return
        if status is TransactionStatus.INERROR and not is_open:
            if but_failed:
                return
            raise TurnLost("a statement failed inside a turn, and what called it went on")
        if status is TransactionStatus.UNKNOWN:
            raise StoreUnavailable(
                f"the connection to the database {self._session.name} was lost", hint="is the server running?"
            )
        self._session.drop()
        raise TurnLost(
            "the turn's transaction was ended, or left busy, by a statement inside of it",
            hint="use the connection as ctx.db gives it: its cursors, and `with db.transaction():`",
        )

    def _end(self) -> None:
        if self._guard.loss is not None:
            self._losses += 1
        self._guard.loss = None
        self._pending.clear()
        self._guard.end()
        try:
            if self._session.is_usable and self._session.status is not TransactionStatus.IDLE:
                self._roll_back()
        finally:
            if self._occupation is not None:
                self._occupation.end()
                self._occupation = None

    def _roll_back(self) -> None:
        try:
            self._session.execute("ROLLBACK")
            self._session.connection.reset()
        except psycopg.Error:
            self._session.drop()


class Savepoint:
    """A savepoint in a turn: what came after it, and only that, is undone when an exception leaves it.

    It is made by the first statement inside, so a handler that asks the database nothing costs nothing. One
    object serves all savepoints of a connection, also nested ones. Their name is random, so that no handler
    releases or undoes one of them.
    """

    def __init__(self, turn: Turn, session: Session, guard: Guard, pending: PostgreSQLPending) -> None:
        self._turn = turn
        self._session = session
        self._guard = guard
        self._pending = pending
        self._marks: list[Mark] = []
        name = f"choreo_{secrets.token_hex(8)}"
        guard.savepoint = f"SAVEPOINT {name}".encode()
        self._release_it = f"RELEASE SAVEPOINT {name}"
        self._roll_back_to_it = f"ROLLBACK TO SAVEPOINT {name}; RELEASE SAVEPOINT {name}"

    def __enter__(self) -> None:
        self._turn.require("savepoint")
        self._marks.append(self._pending.mark())
        self._guard.unmade += 1

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        mark = self._marks.pop()
        guard = self._guard
        if not guard.is_on:
            return
        self._session.check()
        if guard.unmade:
            guard.unmade -= 1
            if kind is not None or guard.denied:
                self._pending.undo(mark)
        else:
            self._leave(mark, error)
        guard.enforce(error)

    def _leave(self, mark: Mark, error: BaseException | None) -> None:
        """Keep or undo what the statements inside have done."""
        guard = self._guard
        if guard.end_streams():
            guard.denied = guard.denied or "a statement whose rows were not all read"
        failure = error
        if failure is None and not guard.denied and self._session.status is TransactionStatus.INERROR:
            failure = TransactionControl(
                "a statement failed inside a turn, and the handler went on",
                hint="undo it alone: `with db.transaction():` around what may fail",
            )
        is_undone = failure is not None or bool(guard.denied)
        if is_undone:
            self._pending.undo(mark)
        self._turn.refuse_loss(error)
        self._turn.refuse_ended(but_failed=True)
        try:
            self._session.execute(self._roll_back_to_it if is_undone else self._release_it)
        except psycopg.Error as broken:
            self._pending.undo(mark)
            raise self._turn.error(broken) from broken
        self._session.connection.reset()
        if failure is not error and failure is not None:
            guard.denied = ""
            raise failure
