"""The rows of a turn that are not written yet: they are written together, many in one statement."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from choreo.records import Entry, Scheduled, Unpublished
from choreo.store.heads import Heads

Removal = tuple[str, str, str, str]
"""The saga_id, saga_type, task and name of the rows that are taken off the schedule together."""

Counts = tuple[int, int, int, int]
"""Numbers of entries, outbox rows, acknowledgements and changes of the schedule."""

Mark = tuple[int, int, int, int, Counts]
"""The numbers of rows at some point, and of those among them that were written."""


class Unwritten(NamedTuple):
    """The rows of a turn that are not written yet, and the changes of the schedule, in their order."""

    entries: list[Entry]
    unpublished: list[Unpublished]
    acknowledged: list[int]
    changes: list[Scheduled | Removal]


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

    @property
    def unwritten(self) -> Unwritten:
        """What is not written yet."""
        entries, unpublished, acknowledged, changes = self._written
        return Unwritten(
            self.entries[entries:],
            self.unpublished[unpublished:],
            self.acknowledged[acknowledged:],
            self.changes[changes:],
        )

    @property
    def is_written(self) -> bool:
        """Whether all is written."""
        return self.mark()[:4] == self._written

    def written(self) -> None:
        """Note that all is written."""
        self._written = self.mark()[:4]


def net(changes: Iterable[Scheduled | Removal]) -> tuple[list[Removal], list[Scheduled]]:
    """Return the result of changes of the schedule: what is removed first, and the rows that are put then.

    Most rows of a turn are taken off the schedule in the same turn.
    """
    removed: dict[Removal, None] = {}
    put: dict[Removal, dict[str, Scheduled]] = {}
    for change in changes:
        if isinstance(change, Scheduled):
            rows = put.setdefault(change[:4], {})
            rows[change.event_id] = change
        else:
            removed[change] = None
            put.pop(change, None)
    return list(removed), [row for rows in put.values() for row in rows.values()]
