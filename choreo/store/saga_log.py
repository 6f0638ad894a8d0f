"""The saga log as whoever keeps it needs it: read as chains, checked, thinned out."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from choreo.chain import Row
from choreo.store.failure import refusal
from choreo.store.heads import rows_of

_UNCHAINED = "SELECT unchained FROM choreo_store"
_SAGAS = "SELECT DISTINCT saga_id FROM saga_log WHERE saga_id > ? ORDER BY saga_id LIMIT ?"


class SQLiteSagaLog:
    """The saga log of one store; see `choreo.ports.SagaLog`."""

    def __init__(self, path: str, connection: sqlite3.Connection) -> None:
        self._path = path
        self._connection = connection

    @property
    def unchained(self) -> int:
        """The id up to which rows may have no link, as choreo wrote them before it knew chains."""
        return int(self._connection.execute(_UNCHAINED).fetchone()[0])

    def sagas(self, after: str, limit: int) -> Sequence[str]:
        """Give the ids of sagas that come after that one, in their order; begin with an empty one."""
        try:
            return [saga_id for (saga_id,) in self._connection.execute(_SAGAS, (after, limit))]
        except sqlite3.Error as error:
            raise refusal(self._path, error) from error

    def chain(self, saga_id: str) -> Sequence[Row]:
        """Give a saga's rows as they stand in its chain; what is pending is not among them."""
        self._connection.text_factory = _tolerant
        try:
            return rows_of(self._connection, saga_id)
        except sqlite3.Error as error:
            raise refusal(self._path, error) from error
        finally:
            self._connection.text_factory = str


def _tolerant(text: bytes) -> str:
    """Read what is no UTF-8, too: somebody may have put it there."""
    return text.decode("utf-8", "surrogateescape")
