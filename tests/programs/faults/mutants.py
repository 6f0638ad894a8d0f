"""A store that lacks a part of what keeps the promise: the matrix must find it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from choreo.ports import Store
from choreo.records import Unpublished


class Forgetful:
    """What the last process left in the outbox isn't published."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._left = [row.seq for row in store.unpublished(0, 1_000)]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def unpublished(self, after: int, limit: int) -> Sequence[Unpublished]:
        """Return what this process has added."""
        return [row for row in self._store.unpublished(after, limit) if row.seq not in self._left]


MUTANTS = {"outbox": Forgetful}
"""By what they lack."""
