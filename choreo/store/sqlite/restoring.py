"""Writing the rows of another store, as they are, into a store of their own."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable

from choreo.chain import Row
from choreo.errors import StoreError
from choreo.records import Entry
from choreo.store.sqlite.rows import UNWRITABLE, Insertion
from choreo.store.sqlite.store import SQLiteStore

IMPORTED = "(imported)"
"""The cluster that such a store belongs to: none that a worker could be on."""

_ROWS = Insertion("saga_log", ("id", *Entry._fields, "salt", "digest", "link"))
_ADOPT = "UPDATE choreo_store SET store_id = ?, participant = ?, unchained = ?, cluster_id = ?"


def adopt(store: SQLiteStore, store_id: str, participant: str, unchained: int) -> None:
    """Say, inside a turn, whose rows they are; no worker will run on the store."""
    store.db.execute(_ADOPT, [store_id, participant, unchained, IMPORTED])


def restore(store: SQLiteStore, rows: Iterable[Row]) -> None:
    """Write rows with their ids and links, inside a turn. Raises `StoreError`, as for an id that is there."""
    connection: sqlite3.Connection = store.db.conn
    try:
        _ROWS.write(connection, [(row.id, *row.entry, row.salt, row.digest, row.link) for row in rows])
    except UNWRITABLE as error:
        raise StoreError(f"a row can't be written: {error}", hint="is it there already?") from error
