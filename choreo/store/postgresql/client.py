"""``ClientStore``: the store as any other process than the worker uses it, such as a web service."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

import psycopg

from choreo.errors import StoreUnavailable
from choreo.records import Entry, Unpublished
from choreo.store.postgresql.requests import INSERT, entries_of, values_of, with_requested
from choreo.store.postgresql.store import PostgreSQLStore

# One process at a time, a worker that begins among them; a role that may not lock makes no tables either.
_LOCK = "SELECT id FROM choreo.store FOR UPDATE"


class ClientStore(PostgreSQLStore):
    """A `choreo.ports.Store` whose turns only add requests, beside the worker's and those of other clients.

    It serves any thread, one after the other.
    """

    _is_beside = True

    def __init__(self, address: str) -> None:
        super().__init__(address, any_thread=True)

    def prepare(self, prepare: Callable[[Any], None]) -> None:
        """Call a function that makes the service's own tables, while no other process does so."""
        with self.turn():
            with suppress(psycopg.errors.InsufficientPrivilege), self.db.transaction():
                self.db.execute(_LOCK)
            prepare(self.db)

    def history(self, saga_id: str, saga_type: str = "") -> Sequence[Entry]:
        """Return a saga's entries, oldest first, those that are only requested last; see the port."""
        requested = entries_of(lambda sql, values: self._rows(sql, *values), saga_id, saga_type)
        return with_requested(super().history(saga_id, saga_type), requested)

    def emit(self, entry: Entry, rows: Sequence[Unpublished]) -> None:
        """Ask the worker to write an event; see the port."""
        self._turn.require("emit")
        self._count(INSERT, *values_of(entry, rows))

    def _rows(self, sql: str, *values: object) -> list[Any]:
        try:
            return super()._rows(sql, *values)
        except StoreUnavailable:
            if self._turn.is_open or not self._session.connection.closed:
                raise
            return super()._rows(sql, *values)  # the connection was lost while it was idle
