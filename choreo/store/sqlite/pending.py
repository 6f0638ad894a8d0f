"""The rows of a turn that are not written yet: they are written together, many in one statement."""

from __future__ import annotations

import sqlite3

from choreo.records import Entry, Scheduled, Unpublished
from choreo.store.pending import Pending, Removal, net
from choreo.store.sqlite.heads import SQLiteHeads
from choreo.store.sqlite.rows import Insertion

ENTRIES = Insertion("saga_log", (*Entry._fields, "salt", "link"))
UNPUBLISHED = Insertion("outbox", Unpublished._fields[:-1])  # the database gives the seq
_SCHEDULED = Insertion(
    "schedule",
    Scheduled._fields,
    "ON CONFLICT (saga_id, saga_type, task, name, event_id)"
    " DO UPDATE SET due = excluded.due, attempt = excluded.attempt, lane = excluded.lane,"
    " until = excluded.until, deaths = excluded.deaths",
)
_DELETE_UNPUBLISHED = "DELETE FROM outbox WHERE seq = ?"
_DELETE_SCHEDULED = "DELETE FROM schedule WHERE saga_id = ? AND saga_type = ? AND task = ? AND name = ?"


class SQLitePending(Pending):
    """The rows of one turn, and how SQLite writes them."""

    def __init__(self, heads: SQLiteHeads) -> None:
        super().__init__(heads)
        self._cached = heads

    def begin(self) -> None:
        """Begin a turn, whose transaction is open already."""
        self._cached.begin()

    def write(self, connection: sqlite3.Connection) -> None:
        """Write what is not written yet. Raises one of `UNWRITABLE`."""
        if self.is_written:
            return
        entries, unpublished, acknowledged, changes = self.unwritten
        self._write_entries(connection, entries)
        UNPUBLISHED.write(connection, [row[:-1] for row in unpublished])
        connection.executemany(_DELETE_UNPUBLISHED, [(seq,) for seq in acknowledged])
        _write_changes(connection, changes)
        self.written()

    def _write_entries(self, connection: sqlite3.Connection, entries: list[Entry]) -> None:
        try:
            ENTRIES.write(connection, self._heads.linked(entries))
        except BaseException:
            self._heads.forget(entries)
            raise


def _write_changes(connection: sqlite3.Connection, changes: list[Scheduled | Removal]) -> None:
    removed, put = net(changes)
    connection.executemany(_DELETE_SCHEDULED, removed)
    _SCHEDULED.write(connection, put)
