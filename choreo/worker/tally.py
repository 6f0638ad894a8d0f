"""``Tally``: counts what turns have done, of which a turn that is rolled back has done nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

RETRIES: Final = "retries"
"""Attempts that failed and are to be repeated, by saga type."""

VOID: Final = "void"
"""Events that changed nothing, by saga type; one that only came again is not counted."""

REFUSED: Final = "refused"
"""What was refused, by one of `REFUSALS`."""

REFUSALS: Final = ("step", "outcome", "record", "publication")
"""What may be refused: a step whose saga is aborted, an outcome of an own step that this store never
produced, a record that can't be read, an event that the log doesn't take."""


class Tally:
    """Counts by what is counted and a label; `commit` and `undo` say what became of a turn.

    ``committed`` is replaced and never changed, so that another thread may go through it. A turn that may be
    committed although the store failed counts as rolled back.
    """

    def __init__(self) -> None:
        self.committed: Mapping[tuple[str, str], int] = MappingProxyType({})
        self._turn: Counter[tuple[str, str]] = Counter()

    def add(self, what: str, label: str) -> None:
        """Count something that the turn under way does."""
        self._turn[what, label] += 1

    def commit(self) -> None:
        """Count what the turn has done, as it is committed."""
        if self._turn:
            self.committed = MappingProxyType(self._turn + Counter(self.committed))
            self._turn.clear()

    def undo(self) -> None:
        """Forget what the turn has done, as it is rolled back."""
        self._turn.clear()
