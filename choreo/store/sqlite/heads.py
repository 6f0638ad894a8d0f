"""Linking rows of the saga log as they are written (see `choreo.chain`)."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterable, Sequence

from choreo.chain import SALT_BYTES, ZEROS, Row, chain_of, digest_of, head_of, link_of
from choreo.records import Entry
from choreo.store.sqlite.rows import columns

_LIMIT = 20_000
_DATA_VERSION = "PRAGMA data_version"
_KEYED_BY_ID = "SELECT keyed_by_id FROM choreo_store"
_SELECT = f"SELECT {columns(Entry._fields)}, id, salt, digest, link FROM saga_log"
_WITH_ID = f"{_SELECT} WHERE saga_id = ? ORDER BY id"
_OF_SAGA = f"{_SELECT} WHERE saga_id = ? AND saga_type = ? ORDER BY id"
_FIRST = "SELECT min(id) FROM saga_log WHERE saga_id = ? AND saga_type = ?"
_LAST = "SELECT id, link FROM saga_log WHERE saga_id = ? AND saga_type = ? ORDER BY id DESC LIMIT 1"

Linked = tuple[object, ...]
"""A row as it is inserted: the fields of `Entry`, the salt, the link."""


class Heads:
    """The heads of sagas' chains: the links that their next rows follow.

    It caches the heads of up to ``limit`` sagas. `begin` clears the cache when another connection has
    written, and `forget` removes heads of rows that were undone. ``chance`` returns so many random bytes,
    for the salts.
    """

    def __init__(
        self, connection: sqlite3.Connection, limit: int = _LIMIT, chance: Callable[[int], bytes] = os.urandom
    ) -> None:
        self._connection = connection
        self._chance = chance
        self._limit = limit
        self._known: dict[tuple[str, str], bytes] = {}
        self._keyed_by_id = keyed_by_id(connection)
        self._data_version = 0

    def begin(self) -> None:
        """Clear the cache, under the write lock, where another connection has written."""
        (version,) = self._connection.execute(_DATA_VERSION).fetchone()
        if version != self._data_version:
            self._data_version = version
            self._known.clear()

    def new(self, saga_id: str, saga_type: str) -> None:
        """Cache that a saga has no rows."""
        self._known[saga_id, saga_type] = ZEROS
        self._trim()

    def forget(self, entries: Iterable[Entry]) -> None:
        """Remove the sagas of rows that were linked and then undone."""
        for entry in entries:
            self._known.pop(entry[:2], None)

    def linked(self, entries: Sequence[Entry]) -> list[Linked]:
        """Return rows with their salts and links; they must be written in this order."""
        rows: list[Linked] = []
        known, chance = self._known, self._chance(SALT_BYTES * len(entries))
        for number, entry in enumerate(entries):
            saga, payload = entry[:2], entry.payload
            before = known.get(saga) or self._head(*saga)
            if payload is None:
                salt, digest = None, ZEROS
            else:
                salt = chance[number * SALT_BYTES : (number + 1) * SALT_BYTES]
                digest = digest_of(payload, salt)
            link = known[saga] = link_of(before, entry, digest)
            rows.append(entry + (salt, link))  # noqa: RUF005 (twice as fast)
        self._trim()  # not before, as heads of rows that are not written yet can't be read again
        return rows

    def _head(self, saga_id: str, saga_type: str) -> bytes:
        found = self._connection.execute(_LAST, (saga_id, saga_type)).fetchone()
        if found is None:
            return ZEROS
        identity, link = found
        # A row without a link was written before choreo linked rows: the row that comes now seals it.
        if link is None or identity <= self._keyed_by_id:
            return head_of(chain_rows(self._connection, saga_id, saga_type))
        return bytes(link)

    def _trim(self) -> None:
        if len(self._known) > self._limit:
            self._known.clear()


def keyed_by_id(connection: sqlite3.Connection) -> int:
    """Return the id up to which the rows of all sagas with an id form one chain."""
    return int(connection.execute(_KEYED_BY_ID).fetchone()[0])


def rows_with_id(connection: sqlite3.Connection, saga_id: str) -> list[Row]:
    """Return the rows of all sagas with an id, in the order in which they were written."""
    return _rows(connection, _WITH_ID, saga_id)


def chain_rows(connection: sqlite3.Connection, saga_id: str, saga_type: str) -> list[Row]:
    """Return the rows of a saga's chain."""
    shared, (first,) = keyed_by_id(connection), connection.execute(_FIRST, (saga_id, saga_type)).fetchone()
    if first is None or first > shared:
        return _rows(connection, _OF_SAGA, saga_id, saga_type)
    return chain_of(rows_with_id(connection, saga_id), saga_type, shared)


def _rows(connection: sqlite3.Connection, sql: str, *values: str) -> list[Row]:
    return [
        Row(identity, Entry._make(fields), salt, digest, link)
        for *fields, identity, salt, digest, link in connection.execute(sql, values)
    ]
