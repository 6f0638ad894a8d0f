"""The heads of chains in an SQLite database (see `choreo.chain`)."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Sequence
from typing import Any

from choreo.store.chains import Chains
from choreo.store.heads import LIMIT, Heads
from choreo.store.sqlite.dialect import SQLITE

_DATA_VERSION = "PRAGMA data_version"


class SQLiteHeads(Heads):
    """The heads of chains in an SQLite database."""

    def __init__(
        self, connection: sqlite3.Connection, limit: int = LIMIT, chance: Callable[[int], bytes] = os.urandom
    ) -> None:
        super().__init__(chains_in(connection), limit, chance)
        self._connection = connection
        self._data_version = 0

    def begin(self) -> None:
        """Clear the cache, under the write lock, where another connection has written."""
        (version,) = self._connection.execute(_DATA_VERSION).fetchone()
        if version != self._data_version:
            self._data_version = version
            self.clear()


def chains_in(connection: sqlite3.Connection) -> Chains:
    """Return the chains of the store that a connection has open."""

    def read(sql: str, *values: object) -> Sequence[Any]:
        return connection.execute(sql, values).fetchall()

    return Chains(read, SQLITE)
