"""Connections to PostgreSQL of which one statement fails, or one answer never comes: as the server fails."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any, Final

import psycopg
from psycopg.pq import TransactionStatus

from choreo.store.postgresql.guard import GuardedConnection
from tests.scenarios.failing_calls import Breaker, Call

KINDS: Final = {
    "locked": "55P03",
    "full": "53100",
    "deadlock": "40P01",
    "cut": "",
    "late": "",
}
"""How a call fails: by an error of the server's, or with the connection, before it or once it has worked."""

_ANSWER = "answer of "


def may_break(call: Call, kind: str) -> bool:
    """Whether a call can fail so: a statement by an error, the wait for an answer with the connection."""
    return call.what.startswith(_ANSWER) is not bool(KINDS[kind])


class _Waiting(psycopg.Connection[Any]):
    """A connection whose answers come by the breaker, beneath what guards it."""

    breaker: Breaker

    def wait(self, gen: Generator[Any, Any, Any], *arguments: Any, **more: Any) -> Any:
        idle = self.info.transaction_status == TransactionStatus.IDLE
        what, breaker = f"{_ANSWER}{gen.__name__}", self.breaker
        if self.closed or not breaker.breaks(what, idle) or KINDS[breaker.kind]:
            return super().wait(gen, *arguments, **more)
        if breaker.kind == "late":
            super().wait(gen, *arguments, **more)
        gen.close()
        self.pgconn.finish()
        raise psycopg.OperationalError("the connection is lost")


class BreakableConnection(GuardedConnection, _Waiting):
    """A guarded connection that can break."""


def breaking(execute: Callable[..., Any]) -> Callable[..., Any]:
    """Return what executes a statement as ``execute`` does, unless it is to fail: the server refuses it."""

    def executed(cursor: Any, query: Any, *given: Any, **more: Any) -> Any:
        connection = cursor.connection
        if isinstance(connection, _Waiting) and not connection.closed:
            text = query.decode() if isinstance(query, bytes) else str(query)
            idle = connection.info.transaction_status == TransactionStatus.IDLE
            breaker = connection.breaker
            if breaker.breaks(" ".join(text.split())[:60], idle) and (code := KINDS[breaker.kind]):
                refused = f"DO $$ BEGIN RAISE SQLSTATE '{code}'; END $$"
                return execute(cursor, refused.encode(), None, prepare=False)
        return execute(cursor, query, *given, **more)

    return executed
