"""A database and a log of which one call fails: as SQLite fails, and as Kafka's client does."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final, NamedTuple

from choreo.errors import LogError
from choreo.store.sqlite.guard import GuardedConnection

KINDS: Final = {
    "locked": (sqlite3.SQLITE_BUSY, "database is locked"),
    "full": (sqlite3.SQLITE_FULL, "database or disk is full"),
    "failing": (sqlite3.SQLITE_IOERR, "disk I/O error"),
    "late": (sqlite3.SQLITE_IOERR, "disk I/O error"),
}
"""How a statement fails: ``full`` ends the transaction, too; ``late`` comes after it has worked."""

_RARE: Final = 2
"""Outside of a transaction, a statement or a call that is repeated while idle counts only so often."""


class Call(NamedTuple):
    """One call of one participant: of a statement or of the log, and which time it was."""

    participant: str
    what: str
    time: int


class Breaker:
    """Counts every call that is made, and breaks one."""

    def __init__(self) -> None:
        self.made: list[Call] = []
        self.broken: list[Call] = []
        self.participant = ""
        self._counts: Counter[tuple[str, str]] = Counter()
        self._at: Call | None = None
        self.kind = ""

    def set(self, at: Call | None, kind: str = "") -> None:
        """Count anew, and say which call to break."""
        self.made, self.broken = [], []
        self._counts.clear()
        self._at, self.kind = at, kind

    def breaks(self, what: str, idle: bool = False) -> bool:
        """Count a call; say whether it is the one."""
        if not self.participant:  # the test itself is looking
            return False
        key = (self.participant, what)
        self._counts[key] += 1
        call = Call(*key, self._counts[key])
        if idle and call.time > _RARE:
            return False
        self.made.append(call)
        if call != self._at or self.broken:
            return False
        self.broken.append(call)
        return True


class BreakableConnection(GuardedConnection):
    """A connection whose statements come by the breaker."""

    breaker: Breaker | None = None

    def execute(self, sql: str, *given: Any) -> sqlite3.Cursor:
        return self._run(sql, lambda: super(BreakableConnection, self).execute(sql, *given))

    def executemany(self, sql: str, rows: Iterable[Any]) -> sqlite3.Cursor:
        rows = list(rows)
        if not rows:
            return super().executemany(sql, rows)
        return self._run(sql, lambda: super(BreakableConnection, self).executemany(sql, rows))

    def commit(self) -> None:
        self._run("COMMIT", super().commit)

    def cursor(self, factory: Any = None) -> sqlite3.Cursor:
        return super().cursor(BreakableCursor if factory is None else factory)

    def _run(self, sql: str, statement: Callable[[], Any]) -> Any:
        breaker = self.breaker
        if sql.startswith("RELEASE") and breaker and breaker.kind == "locked":
            return statement()  # by that, SQLite would say that a statement is unfinished
        if breaker is None or not breaker.breaks(" ".join(sql.split())[:60], idle=not self.in_transaction):
            return statement()
        code, text = KINDS[breaker.kind]
        if breaker.kind == "late":
            statement()
        if breaker.kind == "full":
            self._end_transaction()
        error = sqlite3.OperationalError(text)
        error.sqlite_errorcode = code
        raise error

    def _end_transaction(self) -> None:
        """Roll back as SQLite itself does, which asks no authorizer."""
        assert self.guard is not None
        phase, self.guard.phase = self.guard.phase, "ending"
        super().rollback()
        self.guard.phase = phase


class BreakableCursor(sqlite3.Cursor):
    """A cursor of such a connection."""

    def execute(self, sql: str, *given: Any) -> Any:
        connection: Any = self.connection
        return connection._run(sql, lambda: super(BreakableCursor, self).execute(sql, *given))


class BreakableLog:
    """A log whose calls come by the breaker: before they are made, or after."""

    def __init__(self, log: Any, breaker: Breaker) -> None:
        self._log = log
        self._breaker = breaker

    def close(self) -> None:
        """Leave: nothing depends on how that goes."""
        self._log.close()

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._log, name)

        def call(*given: Any) -> Any:
            idle = name in ("take", "commit")
            if self._breaker.breaks(f"before {name}", idle):
                raise LogError(f"{name} failed")
            result = found(*given)
            if name == "take":
                idle = not (result.records or result.acknowledged)
            if self._breaker.breaks(f"after {name}", idle):
                raise LogError(f"{name} failed, and yet it was done")
            return result

        return call


def thinned(calls: Iterable[Call], every: int, offset: int) -> Iterator[Call]:
    """Return each so many-th call."""
    return (call for number, call in enumerate(calls) if number % every == offset)
