"""The one transaction of a turn, the savepoints in it, and the claim that fences a replaced worker."""

from __future__ import annotations

import secrets
import sqlite3
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from types import TracebackType

from choreo.errors import Fenced, NestedTransaction, StoreError, TransactionControl, TurnLost
from choreo.store.nesting import Occupation, is_inside, refuse_inside
from choreo.store.pending import Mark
from choreo.store.sqlite import forks
from choreo.store.sqlite.errors import is_busy, store_error, turn_error
from choreo.store.sqlite.files import Files
from choreo.store.sqlite.guard import Guard, GuardedConnection, inherited
from choreo.store.sqlite.pending import SQLitePending
from choreo.store.sqlite.rows import UNWRITABLE

_TAKE = "UPDATE choreo_store SET claimed_by = ?, deaths = deaths + 1"
_DEATHS = "SELECT deaths FROM choreo_store"
_CLAIMED_BY = "SELECT claimed_by FROM choreo_store"


class Claim:
    """A fencing token (Kleppmann, "How to do distributed locking", 2016): the last connection to claim wins.

    The compare-and-set of positions finds a replaced worker only once it folds a record; one that was paused
    may have the result of a call, or something due, before it reads anything. A connection that never
    claimed the store is never fenced.
    """

    def __init__(self, connection: sqlite3.Connection, chance: Callable[[int], bytes]) -> None:
        self._connection = connection
        self._chance = chance
        self._token = ""

    def take(self) -> int:
        """Claim the store, in the open transaction; if that is rolled back, the next `check` raises.

        Return how many claims before this one ended without a release.
        """
        (deaths,) = self._connection.execute(_DEATHS).fetchone()
        self._token = self._chance(16).hex()
        self._connection.execute(_TAKE, (self._token,))
        return int(deaths)

    def check(self) -> None:
        """Raise `Fenced` where another worker has claimed the store since."""
        if self._token and self._connection.execute(_CLAIMED_BY).fetchone()[0] != self._token:
            raise Fenced(
                "another worker has taken this store over", hint="a store serves one worker: stop one of them"
            )


_LOOK_SECONDS = 0.0005
"""The time between two looks at whether another writer has ended."""

# The comment keeps the text apart from a handler's: Python would give it our prepared statement.
_BEGIN = "BEGIN IMMEDIATE -- the turn"


class Turn:
    """The transaction of a turn: on leaving, what is pending is written and committed, or rolled back.

    One that ``moves`` may be left in another thread than it was entered in. ``patience`` is how many seconds
    it waits for other writers.
    """

    def __init__(
        self,
        path: str,
        connection: GuardedConnection,
        guard: Guard,
        pending: SQLitePending,
        claim: Claim,
        files: Files,
        *,
        moves: bool,
        patience: float,
    ) -> None:
        self._path = path
        self._patience = patience
        self._files = files
        self._moves = moves
        self._key = connection.identity or id(connection)
        self._occupation: Occupation | None = None
        self._connection = connection
        self._guard = guard
        self._pending = pending
        self._claim = claim

    @property
    def is_open(self) -> bool:
        """Whether a turn is open."""
        return self._guard.phase == "turn"

    def error(self, failure: sqlite3.Error) -> StoreError:
        """Return the error of the turn for one of SQLite's."""
        return turn_error(self._path, failure)

    @property
    def blocks_here(self) -> bool:
        """Whether a turn of this database is open in the calling thread or task."""
        return is_inside(self._key)

    def require(self, what: str) -> None:
        """Raise `StoreError` where ``what`` is called outside of a turn, or the turn is lost."""
        if self._guard.phase != "turn":
            raise self._not_open(what)
        if not self._connection.in_transaction:
            raise transaction_lost()

    def _not_open(self, what: str) -> StoreError:
        if self._guard.phase == "inherited":
            return inherited()
        return StoreError(f"{what}() outside of a turn", hint="open one with turn()")

    def __enter__(self) -> None:
        forks.notice()
        if self._guard.phase == "inherited":
            raise inherited()
        refuse_inside(self._path, self._key)
        if self.is_open:
            raise NestedTransaction(
                "a turn is open already", hint="one turn at a time; inside of it, use savepoint()"
            )
        if self._connection.in_transaction:
            raise StoreError("a transaction is open already", hint="commit it before the turn")
        try:
            self._guard.renew(self._connection)
            self.execute(_BEGIN)
            self._claim.check()
            self._pending.begin()
            self._occupation = Occupation(self._key, moves=self._moves)
            self._guard.phase = "turn"
        except sqlite3.Error as error:
            self._end()
            failure = turn_error(self._path, error)
            raise (store_error(self._path, error) if isinstance(failure, TurnLost) else failure) from error
        except BaseException:
            self._end()
            raise

    def execute(self, sql: str, values: Sequence[object] = ()) -> sqlite3.Cursor:
        """Execute a statement; outside of a turn as soon as no other process is in its way.

        SQLite's lock has no queue, and its own wait looks less and less often: whoever looks seldom finds the
        lock taken each time. So all writers of a store look equally often, and SQLite's wait is off.
        """
        give_up = 0.0
        while True:
            try:
                return self._connection.execute(sql, values)
            except sqlite3.OperationalError as error:
                now = time.monotonic()
                give_up = give_up or now + self._patience
                if self.is_open or not is_busy(error) or now > give_up:
                    raise
            time.sleep(_LOOK_SECONDS)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        forks.notice()
        if self._guard.phase == "inherited":
            if kind is None:
                raise inherited()
            return
        try:
            self._guard.enforce(error)
            if kind is None:
                self._commit()
        except UNWRITABLE as failure:
            raise turn_error(self._path, failure) from failure
        finally:
            self._end()
        if kind is None:
            self._files.check()

    def _commit(self) -> None:
        if not self._connection.in_transaction:
            raise transaction_lost()
        self._pending.write(self._connection)
        self._guard.phase = "ending"
        # commit() is prepared anew each time, so there is no COMMIT that a handler could be handed.
        self._connection.commit()
        self._pending.committed()

    def _end(self) -> None:
        self._pending.clear()
        self._guard.denied = ""
        self._guard.phase = "ending"
        try:
            self._connection.rollback()  # does nothing after a commit
        except sqlite3.ProgrammingError:
            pass  # a handler closed the connection: SQLite rolled back by itself
        finally:
            self._guard.phase = "outside"
            if self._occupation is not None:
                self._occupation.end()
                self._occupation = None


class Savepoint:
    """A savepoint in a turn: what came after it, and only that, is undone when an exception leaves it.

    One object serves all savepoints of a connection, also nested ones, as entering must be cheap. Their name
    is random, so that no handler releases or undoes one of them.
    """

    def __init__(
        self, turn: Turn, connection: sqlite3.Connection, guard: Guard, pending: SQLitePending
    ) -> None:
        self._turn = turn
        self._execute = connection.cursor().execute
        self._connection = connection
        self._guard = guard
        self._pending = pending
        self._marks: list[Mark] = []
        name = f"choreo_{secrets.token_hex(8)}"
        self._savepoint = f"SAVEPOINT {name}"
        self._release_it = f"RELEASE {name}"
        self._rollback = f"ROLLBACK TO {name}"

    def __enter__(self) -> None:
        if not self._connection.in_transaction or self._guard.phase != "turn":
            self._turn.require("savepoint")
        try:
            self._execute(self._savepoint)
        except sqlite3.Error as error:
            raise self._turn.error(error) from error
        self._marks.append(self._pending.mark())

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        mark = self._marks.pop()
        if self._guard.phase == "inherited":
            return
        self._connection.row_factory = None  # a handler's own would also read the store's tables
        self._connection.text_factory = str
        if kind is not None or self._guard.denied:
            self._undo(mark, error)
        else:
            self._release(mark)
        if self._guard.denied:
            self._guard.enforce(error)

    def _release(self, mark: Mark) -> None:
        try:
            self._execute(self._release_it)
        except sqlite3.Error as failure:
            self._undo(mark, failure)
            # For a savepoint, "busy" means that a statement is still running: the handler's fault.
            if not is_busy(failure):
                raise self._turn.error(failure) from failure
            raise TransactionControl(
                f"a statement was left unfinished inside a turn: {failure}",
                hint="fetch all rows of a statement with RETURNING, or close its cursor",
            ) from failure

    def _undo(self, mark: Mark, cause: BaseException | None) -> None:
        self._pending.undo(mark)
        if not self._connection.in_transaction:
            # SQLite itself ends the transaction of a statement for which there is no room on the disk. Where
            # a statement has ended it, all that SQLite says is that there is no such savepoint.
            is_its_own = getattr(cause, "sqlite_errorcode", 0) & 0xFF not in (0, sqlite3.SQLITE_ERROR)
            raise self._turn.error(cause) if is_its_own else transaction_lost()  # type: ignore[arg-type]
        try:
            self._execute(self._rollback)
        except sqlite3.Error as failure:
            raise self._turn.error(failure) from failure
        # RELEASE fails while the exception's traceback keeps a cursor alive. The savepoint then stays
        # open, empty, and does no harm: the commit closes it.
        with suppress(sqlite3.OperationalError):
            self._execute(self._release_it)


def transaction_lost() -> TurnLost:
    """Return the error for a transaction that a statement inside of the turn has ended."""
    return TurnLost(
        "the turn's transaction was rolled back by a statement inside of it",
        hint="look for OR ROLLBACK, ON CONFLICT ROLLBACK or RAISE(ROLLBACK), or for a disk that is full",
    )
