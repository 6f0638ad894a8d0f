"""Linking rows of the saga log as they are written (see `choreo.chain`)."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterable, Sequence

from choreo.chain import SALT_BYTES, ZEROS, Row, digest_of, head_of, link_of
from choreo.records import Entry
from choreo.store.sqlite.rows import columns

_LIMIT = 20_000
_DATA_VERSION = "PRAGMA data_version"
_ROWS = f"SELECT {columns(Entry._fields)}, id, salt, digest, link FROM saga_log WHERE saga_id = ? ORDER BY id"
_LAST = "SELECT link FROM saga_log WHERE saga_id = ? ORDER BY id DESC LIMIT 1"

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
        self._known: dict[str, bytes] = {}
        self._data_version = 0

    def begin(self) -> None:
        """Clear the cache, under the write lock, where another connection has written."""
        (version,) = self._connection.execute(_DATA_VERSION).fetchone()
        if version != self._data_version:
            self._data_version = version
            self._known.clear()

    def new(self, saga_id: str) -> None:
        """Cache that a saga has no rows."""
        self._known[saga_id] = ZEROS
        self._trim()

    def forget(self, entries: Iterable[Entry]) -> None:
        """Remove the sagas of rows that were linked and then undone."""
        for entry in entries:
            self._known.pop(entry.saga_id, None)

    def linked(self, entries: Sequence[Entry]) -> list[Linked]:
        """Return rows with their salts and links; they must be written in this order."""
        rows: list[Linked] = []
        known, chance = self._known, self._chance(SALT_BYTES * len(entries))
        for number, entry in enumerate(entries):
            saga_id, payload = entry[0], entry.payload
            before = known.get(saga_id) or self._head(saga_id)
            if payload is None:
                salt, digest = None, ZEROS
            else:
                salt = chance[number * SALT_BYTES : (number + 1) * SALT_BYTES]
                digest = digest_of(payload, salt)
            link = known[saga_id] = link_of(before, entry, digest)
            rows.append(entry + (salt, link))  # noqa: RUF005 (twice as fast)
        self._trim()  # not before, as heads of rows that are not written yet can't be read again
        return rows

    def _head(self, saga_id: str) -> bytes:
        found = self._connection.execute(_LAST, (saga_id,)).fetchone()
        if found is None:
            return ZEROS
        if found[0] is None:  # written before choreo linked rows: the row that comes now seals it
            return head_of(rows_of(self._connection, saga_id))
        return bytes(found[0])

    def _trim(self) -> None:
        if len(self._known) > self._limit:
            self._known.clear()


def rows_of(connection: sqlite3.Connection, saga_id: str) -> list[Row]:
    """Return a saga's rows as they stand in its chain."""
    return [
        Row(identity, Entry._make(fields), salt, digest, link)
        for *fields, identity, salt, digest, link in connection.execute(_ROWS, (saga_id,))
    ]
