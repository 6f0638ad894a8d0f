"""``Unread``: the rows of the outbox that the turns of one worker have added since it last read there."""

from __future__ import annotations

from collections.abc import Sequence

from choreo.records import Unpublished

_MOST = 5_000
"""How many rows are kept at most: more of them are read from the outbox again."""


class Unread:
    """The rows behind a number in the outbox, as long as they are known: then nobody need read them.

    They are once a worker has read to the end, as it alone adds rows of its partitions, until any other
    process may have, or it owns others.
    """

    def __init__(self) -> None:
        self._rows: list[Unpublished] | None = None
        self._after = 0

    @property
    def is_known(self) -> bool:
        """Whether the rows behind some number are known."""
        return self._rows is not None

    def forget(self) -> None:
        """Know nothing any more."""
        self._rows = None

    def reach(self, after: int) -> None:
        """Know that there is no row behind a number."""
        self._rows, self._after = [], after

    def add(self, rows: Sequence[Unpublished]) -> None:
        """Add the rows of a turn that is committed."""
        if self._rows is not None:
            self._rows += rows
            if len(self._rows) > _MOST:
                self.forget()

    def take(self, after: int, limit: int) -> Sequence[Unpublished] | None:
        """Return the first rows behind a number, which are known no more then; None where they aren't."""
        if self._rows is None or after != self._after:
            return None
        taken, self._rows = self._rows[:limit], self._rows[limit:]
        if taken:
            self._after = taken[-1].seq
        return taken
