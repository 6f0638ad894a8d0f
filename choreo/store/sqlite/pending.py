"""The rows of a turn that are not written yet: they are written together, many in one statement."""

from __future__ import annotations

import sqlite3

from choreo.records import Entry, Scheduled, Unpublished
from choreo.store.sqlite.heads import Heads
from choreo.store.sqlite.rows import Insertion

_ENTRIES = Insertion("saga_log", (*Entry._fields, "salt", "link"))
_UNPUBLISHED = Insertion("outbox", Unpublished._fields[:-1])  # the database gives the seq
_SCHEDULED = Insertion(
    "schedule",
    Scheduled._fields,
    "ON CONFLICT (saga_id, saga_type, task, name, event_id)"
    " DO UPDATE SET due = excluded.due, attempt = excluded.attempt, lane = excluded.lane,"
    " until = excluded.until, deaths = excluded.deaths",
)
_DELETE_UNPUBLISHED = "DELETE FROM outbox WHERE seq = ?"
_DELETE_SCHEDULED = "DELETE FROM schedule WHERE saga_id = ? AND saga_type = ? AND task = ? AND name = ?"

Removal = tuple[str, str, str, str]
"""The saga_id, saga_type, task and name of the rows that are taken off the schedule together."""

Counts = tuple[int, int, int, int]
"""Numbers of entries, outbox rows, acknowledgements and changes of the schedule."""

Mark = tuple[int, int, int, int, Counts]
"""The numbers of rows at some point, and of those among them that were written."""


class Pending:
    """The rows of one turn, written or not yet.

    Rows that were written stay here until the turn ends. If a savepoint in which they were written is rolled
    back, `undo` makes those of before the savepoint pending again.
    """

    def __init__(self, heads: Heads) -> None:
        self._heads = heads
        self.entries: list[Entry] = []
        self.unpublished: list[Unpublished] = []
        self.acknowledged: list[int] = []
        self.changes: list[Scheduled | Removal] = []
        self._written: Counts = (0, 0, 0, 0)
        self._sagas: set[str] = set()
        self._sagas_upto = 0

    def mark(self) -> Mark:
        """Return the present point, for `undo`."""
        return (
            len(self.entries),
            len(self.unpublished),
            len(self.acknowledged),
            len(self.changes),
            self._written,
        )

    def undo(self, mark: Mark) -> None:
        """Drop the rows that came after ``mark``; those that were written after it are pending again."""
        self._heads.forget(self.entries[mark[4][0] : self._written[0]])
        entries, unpublished, acknowledged, changes, self._written = mark
        del self.entries[entries:]
        del self.unpublished[unpublished:]
        del self.acknowledged[acknowledged:]
        del self.changes[changes:]
        self._sagas_upto = min(self._sagas_upto, entries)

    def begin(self) -> None:
        """Begin a turn, whose transaction is open already."""
        self._heads.begin()

    def committed(self) -> None:
        """Keep what was written, as the transaction is committed."""
        self._written = (0, *self._written[1:])

    def clear(self) -> None:
        """Drop all rows, as the turn is over."""
        self.undo((0, 0, 0, 0, (0, 0, 0, 0)))
        self._sagas.clear()

    def concerns(self, saga_id: str) -> bool:
        """Whether entries of that saga may be among those not written.

        It may be true of entries that were written or undone meanwhile: then one write comes too early.
        """
        if self._sagas_upto < len(self.entries):
            self._sagas.update(entry.saga_id for entry in self.entries[self._sagas_upto :])
            self._sagas_upto = len(self.entries)
        return saga_id in self._sagas

    def write(self, connection: sqlite3.Connection) -> None:
        """Write what is not written yet. Raises one of `UNWRITABLE`."""
        entries, unpublished, acknowledged, changes = self._written
        upto = self.mark()[:4]
        if upto == self._written:
            return
        self._write_entries(connection, self.entries[entries:])
        _UNPUBLISHED.write(connection, [row[:-1] for row in self.unpublished[unpublished:]])
        connection.executemany(_DELETE_UNPUBLISHED, [(seq,) for seq in self.acknowledged[acknowledged:]])
        _write_changes(connection, self.changes[changes:])
        self._written = upto

    def _write_entries(self, connection: sqlite3.Connection, entries: list[Entry]) -> None:
        try:
            _ENTRIES.write(connection, self._heads.linked(entries))
        except BaseException:
            self._heads.forget(entries)
            raise


def _write_changes(connection: sqlite3.Connection, changes: list[Scheduled | Removal]) -> None:
    """Write the result of the changes: most rows of a turn are taken off the schedule in the same turn."""
    removed: dict[Removal, None] = {}
    put: dict[Removal, dict[str, Scheduled]] = {}
    for change in changes:
        if isinstance(change, Scheduled):
            rows = put.setdefault(change[:4], {})
            rows[change.event_id] = change
        else:
            removed[change] = None
            put.pop(change, None)
    connection.executemany(_DELETE_SCHEDULED, removed)
    _SCHEDULED.write(connection, [row for rows in put.values() for row in rows.values()])
