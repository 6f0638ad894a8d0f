"""The store in PostgreSQL: the tables of the schema ``choreo`` in the service's own database."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any

import psycopg
from psycopg.pq import TransactionStatus

from choreo.errors import StoreError
from choreo.ports.joined import JoinedStore, OpenTransaction
from choreo.store.chains import Chains
from choreo.store.heads import Heads
from choreo.store.postgresql.dialect import POSTGRESQL, SEARCHES, SQL
from choreo.store.postgresql.errors import UNWRITABLE
from choreo.store.postgresql.guard import Guard, GuardedConnection
from choreo.store.postgresql.pending import PostgreSQLPending
from choreo.store.postgresql.saga_log import PostgreSQLSagaLog
from choreo.store.postgresql.session import Session
from choreo.store.postgresql.turn import Claim, Savepoint, Turn
from choreo.store.tables import TableStore

_TURNS = "SELECT turns FROM choreo.store"


class PostgreSQLStore(TableStore):
    """A `choreo.ports.Store` in a PostgreSQL database, in which the service keeps its own tables.

    ``address`` is a URL or a text of libpq's, whose environment variables and service files count as well;
    the tables must be there (see `choreo.store.postgresql.schema`). ``busy_timeout`` is the time to wait for
    another writer, in seconds. Turns follow each other, whichever process opens them.

    A store belongs to the thread that made it, unless ``any_thread`` may use it, one after the other; and to
    the process that made it: a forked one is refused every use. Opening raises `StoreError` with a hint;
    later `StoreUnavailable` is raised where the connection is lost, and the next use opens another one.
    ``chance`` returns so many random bytes.

    Nothing of a session is used, so that a pooler may give each transaction another one.
    """

    _sql = SQL
    _searches = SEARCHES
    _pending: PostgreSQLPending
    _turn: Turn

    def __init__(
        self,
        address: str,
        *,
        busy_timeout: float = 5.0,
        chance: Callable[[int], bytes] = os.urandom,
        any_thread: bool = False,
    ) -> None:
        guard = Guard()
        self._guard = guard
        self._session = Session(address, guard, any_thread=any_thread, patience=busy_timeout)
        self._path = self._session.name
        try:
            self._set_up(chance, any_thread=any_thread)
        except BaseException:
            self._session.drop()
            raise

    def _set_up(self, chance: Callable[[int], bytes], *, any_thread: bool) -> None:
        guard = self._guard
        self._heads = Heads(Chains(self._read, POSTGRESQL), chance=chance)
        self._pending = PostgreSQLPending(self._heads)
        self._claim = Claim(self._session, chance)
        self._turn = Turn(self._session, guard, self._pending, self._heads, self._claim, moves=any_thread)
        self._savepoint = Savepoint(self._turn, self._session, guard, self._pending)
        self._saga_log = PostgreSQLSagaLog(self._session, self._turn, self._pending, self._heads)
        self._turn.number = self._rows(_TURNS)[0][0]

    @property
    def db(self) -> GuardedConnection:
        """The open psycopg connection. Inside a turn it refuses to commit and to roll back."""
        return self._session.connection

    @property
    def store_id(self) -> str:
        """A random id given when the tables were made; a copied database keeps it."""
        return self._session.store_id

    def within(self, transaction: OpenTransaction, participant: str) -> AbstractContextManager[JoinedStore]:
        """Raise `StoreError`: a session of the service's own can't be joined on PostgreSQL yet."""
        raise StoreError(
            "transaction(within=…) can't join a session on PostgreSQL yet",
            hint="use orders.transaction(), and its tx.db for the service's own rows",
        )

    def claim(self) -> int:
        """Claim the store: whoever claimed it before is fenced from its next turn on; see the port."""
        self._turn.require("claim")
        try:
            return self._claim.take()
        except psycopg.Error as error:
            raise self._turn.error(error) from error

    @property
    def is_free(self) -> bool:
        """Whether no transaction is open in it, and this process may use it."""
        return (
            self._guard.phase == "outside"
            and self._session.is_usable
            and self._session.status is TransactionStatus.IDLE
        )

    def check_files(self) -> None:
        """Do nothing: a turn finds out by itself where the tables were replaced."""

    def trim(self) -> None:
        """Do nothing: the server frees by itself what is needed no more."""

    def changed(self) -> bool:
        """Whether another connection has committed since the last call; cheap."""
        before, self._turn.number = self._turn.number, self._rows(_TURNS)[0][0]
        if before == self._turn.number:
            return False
        self._heads.clear()
        return True

    def close(self) -> None:
        """Close the connection; closing twice does no harm."""
        self._session.close()

    def _read(self, sql: str, *values: object) -> Sequence[Any]:
        return self._session.execute(sql, values).fetchall()

    def _write(self) -> None:
        if not self._turn.is_open:
            return
        self._turn.require("write")
        try:
            self._pending.write(self._session)
        except UNWRITABLE as error:
            raise self._turn.error(error) from error

    def _rows(self, sql: str, *values: object) -> list[Any]:
        return self._turn.rows(sql, values)

    def _count(self, sql: str, *values: object) -> int:
        return self._turn.count(sql, values)
