"""The one transaction of a turn, the savepoints in it, and the fence that keeps a replaced owner out."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping, Sequence, Set
from types import TracebackType
from typing import Any

import psycopg
from psycopg.pq import PipelineStatus, TransactionStatus

from choreo.errors import (
    Fenced,
    NestedTransaction,
    SavepointSkipped,
    StoreChanged,
    StoreError,
    StoreGone,
    StoreUnavailable,
    TransactionControl,
    TurnLost,
)
from choreo.records import Partition
from choreo.store.heads import Heads
from choreo.store.nesting import Occupation, is_inside, refuse_inside
from choreo.store.pending import Mark
from choreo.store.postgresql.errors import UNWRITABLE, away, store_error, turn_error
from choreo.store.postgresql.guard import Guard
from choreo.store.postgresql.ownership import Ownership
from choreo.store.postgresql.pending import PostgreSQLPending
from choreo.store.postgresql.session import Session, Statement
from choreo.store.tables import moved

# What others have locked is waited for so long only, as nobody would hear of it; handlers wait as they like.
_WAIT_BRIEFLY = "SET LOCAL lock_timeout = {}"
_BEGIN = "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE; {};"
# Whoever owns no partitions, such as a command line, excludes every owner until the end of its turn.
_ALONE = """
UPDATE choreo.store SET turns = turns + 1 RETURNING store_id, turns, EXISTS (SELECT 1 FROM choreo.requests);
SELECT topic, partition FROM choreo.positions ORDER BY topic, partition FOR NO KEY UPDATE;
"""
# Read once the rows of the partitions are locked: whoever was alone on the store has committed then.
_BESIDE = "SELECT store_id, turns, {} FROM choreo.store;"
_VISIT = "SELECT 1 FROM choreo.positions WHERE topic = %s AND partition = %s FOR NO KEY UPDATE"
_DISTURB = "UPDATE choreo.store SET turns = turns + 1 RETURNING turns"
_HAS_MOVED = "a position has moved"
# It fails by itself where one is not as expected, as the COMMIT may be on its way already.
_MOVE = f"""
WITH moved AS (
    UPDATE choreo.positions SET next_offset = new.position
    FROM unnest(%s::text[], %s::bigint[], %s::bigint[], %s::bigint[])
        AS new (topic, partition, expected, position)
    WHERE positions.topic = new.topic AND positions.partition = new.partition AND next_offset = new.expected
    RETURNING 1
)
SELECT (CASE WHEN count(*) = %s THEN '0' ELSE '{_HAS_MOVED}' END)::int FROM moved
"""
_COMMIT = "COMMIT"
_PAUSED = "SET LOCAL idle_in_transaction_session_timeout = {};"
_FIRST = 2
"""The place of the first statement with rows among those."""

_PAUSED_MS = 60_000
"""After so long without a statement the server ends the turn of a worker that was paused in it."""

_OWN_PAUSE = "SELECT setting::bigint FROM pg_settings WHERE name = 'idle_in_transaction_session_timeout'"

_LOSSES = 8
"""So many turns in a row may be lost to other transactions, or with the connection, before one is blamed."""


class Turn:
    """The transaction of a turn: on leaving, what is pending is written and committed, or rolled back.

    One of a worker locks the partitions that it owns, and those of other workers go on beside it; one
    ``beside`` them all locks nothing, and any other one is alone on the store. ``number`` counts the turns of
    those that were alone. One that ``moves`` may be left in another thread than it was entered in.
    ``is_asked`` is whether another process had asked for something, as far as that is known.
    ``on_change`` is called in a turn that finds that another one was alone meanwhile.
    """

    def __init__(
        self,
        session: Session,
        guard: Guard,
        pending: PostgreSQLPending,
        heads: Heads,
        ownership: Ownership,
        on_change: Callable[[], None],
        *,
        moves: bool,
        beside: bool = False,
    ) -> None:
        self.number = 0
        self.is_asked = False
        self._session = session
        self._guard = guard
        self._pending = pending
        self._heads = heads
        self._ownership = ownership
        self._on_change = on_change
        self._taken: Mapping[Partition, int] = {}
        self._visit = 0
        self._advances: dict[Partition, tuple[int, int]] = {}
        self._writes_first = False
        self._is_claiming = False
        self._is_beside = beside
        self._moves = moves
        self._key = ("postgresql", session.store_id)
        self._occupation: Occupation | None = None
        self._begun = 0
        self._losses = 0
        self._paused: str | None = None

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

    def claim(self) -> None:
        """Be a worker's from now on, which owns nothing yet; not if the turn is rolled back."""
        self._ownership.is_worker = self._is_claiming = True

    def visit(self, place: Partition) -> None:
        """Keep the owner of a partition out until the end of the turn, and let it notice then."""
        self.rows(_VISIT, place)
        if not self._visit:
            self._visit = int(self.rows(_DISTURB, ())[0][0])

    def advance(self, partition: Partition, expected: int, position: int) -> None:
        """Move a position at the end of the turn, all of them in one statement."""
        first, last = self._advances.get(partition, (expected, expected))
        if last != expected:
            raise moved(partition, expected)
        self._advances[partition] = (first, position)

    def write_first(self) -> None:
        """Write what is pending with the next statement, before it."""
        self._writes_first = True

    def write(self, *then: Statement) -> list[psycopg.Cursor[Any]]:
        """Move the positions, write what is pending, and execute statements, in one round trip.

        Raises `Fenced` where a position is not where it was expected, or one of `UNWRITABLE`.
        """
        self._writes_first = False
        moves, self._advances = sorted(self._advances.items()), {}
        rows = [(*partition, *move) for partition, move in moves]
        columns = [list(column) for column in zip(*rows, strict=True)]
        first = [(_MOVE, [*columns, len(rows)])] if rows else []
        try:
            return self._pending.write(self._session, first, then)
        except psycopg.errors.InvalidTextRepresentation as error:
            if _HAS_MOVED not in str(error):
                raise
            raise moved(moves[0][0], moves[0][1][0]) from error

    def own(self, epochs: Mapping[Partition, int]) -> None:
        """Own partitions once the turn is committed, each with its epoch."""
        self._taken = epochs

    def _execute(self, sql: str, values: Sequence[object]) -> psycopg.Cursor[Any]:
        self._session.check()
        if self._writes_first:
            try:
                return self.write((sql, values))[-1]
            except UNWRITABLE as error:
                raise self.error(error) from error
        if self._guard.is_on:
            return self._session.execute(sql, values)
        self._session.renew()
        return self._session.execute_alone(sql, values)

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
        self._session.on_renewal = self._ownership.fence
        number = self._begin_again() if self._session.renew() else self._try()
        if number != self.number + self._is_alone:
            self._heads.clear()
            self._on_change()
            if self._ownership.is_worker:
                self.number = number
            if self._ownership.partitions:
                raise StoreChanged(f"another process was alone on the store {self._session.name}")
        self._begun = number
        self._occupation = Occupation(self._key, moves=self._moves)
        self._guard.begin()

    def _try(self) -> int:
        """Begin; on a connection that was lost while nothing happened, begin on another one."""
        try:
            return self._begin_again()
        except psycopg.Error:
            if not self._session.connection.closed:
                raise
            self._session.renew()
            return self._begin_again()

    @property
    def _is_alone(self) -> bool:
        return not (self._ownership.is_worker or self._is_beside)

    def _begin_again(self) -> int:
        """Begin, and lock what is this store's; return the number of turns."""
        fence = self._ownership.fence
        cursor = self._session.cursor.execute(self._first_statements(fence).encode())
        if fence:
            cursor.set_result(_FIRST)
            self._refuse_lost({Partition(*row) for row in cursor.fetchall()})
        cursor.set_result(_FIRST + bool(fence))
        return self._known(cursor.fetchone())

    def _first_statements(self, fence: str) -> str:
        begin = _BEGIN.format(_WAIT_BRIEFLY.format(self._session.patience))
        if self._is_alone:
            return begin + _ALONE
        if self._paused is None:
            own = int(self._session.execute(_OWN_PAUSE).fetchall()[0][0])
            self._paused = "" if 0 < own <= _PAUSED_MS else _PAUSED.format(_PAUSED_MS)
        beside = _BESIDE.format(self._ownership.is_asked)
        return f"{begin}{fence}{';' if fence else ''}{beside}{self._paused}"

    def refuse_lost(self) -> None:
        """Raise `Fenced`, outside of a turn, where another worker has taken partitions over."""
        if self._ownership.look:
            self._refuse_lost({Partition(*row) for row in self.rows(self._ownership.look, ())})

    def _refuse_lost(self, locked: Set[Partition]) -> None:
        """Raise `Fenced` where another worker has taken partitions over, which are dropped."""
        lost = self._ownership.partitions - locked
        if lost:
            self._ownership.drop(lost)
            raise fenced(lost)

    def _known(self, row: tuple[str, int, bool] | None) -> int:
        """Return the number of turns, if the store is the same that was opened."""
        if row is None:
            raise StoreGone(
                f"the store {self._session.name} has lost its id", hint="restore it from a backup"
            )
        store_id, number, self.is_asked = row
        if store_id != self._session.store_id:
            raise StoreGone(
                f"the store {self._session.name} was replaced by another one while it was open",
                hint="start again to use the one that is there now",
            )
        return number

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._session.check()
            self._guard.enforce(error)
            self._guard.blame(error)
            if not isinstance(error, StoreError):
                self.refuse_loss(error)
            if kind is None:
                self._commit()
        except UNWRITABLE as failure:
            self._ownership.known.forget()  # it may be committed all the same
            raise self.error(failure) from failure
        finally:
            self._end()

    def _commit(self) -> None:
        self.refuse_ended()
        if self._guard.is_spoiled:
            raise skipped()
        # PostgreSQL answers the COMMIT of a failed transaction with a rollback, and no error.
        if self.write((_COMMIT, ()))[-1].statusmessage != _COMMIT:
            raise TurnLost("the turn was rolled back by its own end")
        self._pending.committed()
        if self._is_alone and self._begun == self.number + 1:
            self.number = self._begun
        if self._visit == self.number + 1:
            self.number = self._visit
        self._ownership.add(self._taken)
        self._is_claiming = False
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
        self._taken, self._visit, self._advances = {}, 0, {}
        self._writes_first = False
        if self._is_claiming:
            self._ownership.is_worker = self._is_claiming = False
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
        wait_briefly = _WAIT_BRIEFLY.format(session.patience)
        guard.savepoint, guard.briefly = f"SAVEPOINT {name}".encode(), wait_briefly.encode()
        self._release_it = f"RELEASE SAVEPOINT {name}"
        self._wait_briefly = f"; {wait_briefly}"
        self._roll_back_to_it = f"ROLLBACK TO SAVEPOINT {name}; RELEASE SAVEPOINT {name}"

    def __enter__(self) -> None:
        self._turn.require("savepoint")
        self._marks.append(self._pending.mark())
        self._guard.depth += 1
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
            guard.depth -= 1
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
        guard.depth -= 1
        failure = guard.refused(error) if guard.skips else error
        if failure is None and not guard.denied and self._session.status is TransactionStatus.INERROR:
            failure = TransactionControl(
                "a statement failed inside a turn, and the handler went on",
                hint="undo it alone: `with db.transaction():` around what may fail",
            )
        is_undone = failure is not None or bool(guard.denied)
        if is_undone:
            self._pending.undo(mark)
        guard.blame(error)
        self._turn.refuse_loss(error)
        self._turn.refuse_ended(but_failed=True)
        if guard.skips:
            self._leave_skipped(failure)
            return
        self._end(mark, is_undone=is_undone)
        if failure is not error and failure is not None:
            guard.denied = ""
            raise failure

    def _end(self, mark: Mark, *, is_undone: bool) -> None:
        if not self._marks:
            self._guard.timeout = self._guard.briefly
        try:
            if is_undone:
                self._session.execute(self._roll_back_to_it)
            else:
                self._session.execute(self._release_it + ("" if self._marks else self._wait_briefly))
        except psycopg.Error as broken:
            self._pending.undo(mark)
            raise self._turn.error(broken) from broken
        self._session.connection.reset()

    def _leave_skipped(self, failure: BaseException | None) -> None:
        """Keep what the statements inside have done; where that is to be undone, the whole turn is."""
        self._guard.leave_skipped()
        self._session.connection.reset()
        if failure is None:
            return
        self._guard.denied, self._guard.is_spoiled = "", True
        if not isinstance(failure, KeyboardInterrupt):
            raise skipped() from failure


def skipped() -> SavepointSkipped:
    """Return the error of a turn in which a savepoint is missed."""
    return SavepointSkipped("a part of the turn is to be undone alone", hint="do it again with savepoints")


def fenced(lost: Set[Partition]) -> Fenced:
    """Return the error for partitions that another worker has taken over."""
    names = ", ".join(f"{topic}[{number}]" for topic, number in sorted(lost))
    return Fenced(f"another worker has taken over {names}", partitions=frozenset(lost))
