"""``Known``: what a worker knows of the rows of its partitions, which it alone writes, and need not read."""

from __future__ import annotations

from collections.abc import Sequence

from choreo.records import Lane, Unpublished

_MOST = 5_000
"""How many rows of the outbox are kept at most: more of them are read again."""


class Known:
    """The rows of the outbox behind a number, once they were read to the end, and when each lane is due next.

    It is forgotten when any other process may have written, or the worker owns other partitions.
    """

    def __init__(self) -> None:
        self.due: dict[Lane, int | None] = {}
        self._rows: list[Unpublished] | None = None
        self._after = 0

    @property
    def is_complete(self) -> bool:
        """Whether the rows of the outbox behind some number are known."""
        return self._rows is not None

    def forget(self) -> None:
        """Know nothing any more."""
        self._rows = None
        self.due.clear()

    def reach(self, after: int) -> None:
        """Know that the outbox has no row behind a number."""
        self._rows, self._after = [], after

    def add(self, rows: Sequence[Unpublished]) -> None:
        """Add the rows of the outbox of a turn that is committed."""
        if self._rows is not None:
            self._rows += rows
            if len(self._rows) > _MOST:
                self._rows = None

    def take(self, after: int, limit: int) -> Sequence[Unpublished] | None:
        """Return the first rows behind a number, and keep them no longer; None where they aren't known."""
        if self._rows is None or after != self._after:
            return None
        taken, self._rows = self._rows[:limit], self._rows[limit:]
        if taken:
            self._after = taken[-1].seq
        return taken
