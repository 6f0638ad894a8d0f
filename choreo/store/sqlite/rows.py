"""Rows as SQL has them: lists of columns, and inserting many rows in one statement."""

from __future__ import annotations

import sqlite3
import struct
from collections.abc import Iterable, Sequence
from itertools import chain

# So many rows a statement cost a third less than a statement each; more gains nothing.
_AT_ONCE = 50

UNWRITABLE = (sqlite3.Error, struct.error, UnicodeError, OverflowError, TypeError)
"""What is raised for rows that can't be written: the database's errors, and Python's for odd values."""


def columns(names: Iterable[str]) -> str:
    """Return a list of columns in SQL.

    >>> columns(["saga_id", "offset"])
    '[saga_id], [offset]'
    """
    # Not in double quotes: SQLite would take the name of a column that an old store lacks for a text.
    return ", ".join(f"[{name}]" for name in names)


class Insertion:
    """The statements that insert rows into some columns of a table; ``clause`` may say ON CONFLICT.

    >>> connection = sqlite3.connect(":memory:", isolation_level=None)
    >>> cursor = connection.execute("CREATE TABLE fruit (name, colour)")
    >>> Insertion("fruit", ("name", "colour")).write(connection, [("apple", "green"), ("plum", "blue")])
    >>> connection.execute("SELECT name, colour FROM fruit").fetchall()
    [('apple', 'green'), ('plum', 'blue')]
    >>> connection.close()
    """

    def __init__(self, table: str, names: Sequence[str], clause: str = "") -> None:
        values = f"({', '.join('?' * len(names))})"
        insert = f"INSERT INTO {table} ({columns(names)}) VALUES {values}"
        self._one = f"{insert} {clause}"
        self._many = f"{insert}{f', {values}' * (_AT_ONCE - 1)} {clause}"

    def write(self, connection: sqlite3.Connection, rows: Sequence[tuple[object, ...]]) -> None:
        """Insert rows in their order. Raises one of `UNWRITABLE`."""
        together = len(rows) - len(rows) % _AT_ONCE
        for start in range(0, together, _AT_ONCE):
            connection.execute(self._many, tuple(chain.from_iterable(rows[start : start + _AT_ONCE])))
        connection.executemany(self._one, rows[together:])
