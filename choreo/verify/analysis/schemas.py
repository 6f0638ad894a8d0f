"""How the rules ask about Avro: the comparison is handed down, since parsing schemas is an adapter's work."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple


class Unreadable(NamedTuple):
    """One place where a reader can't read what a writer may have written."""

    path: str
    reason: str

    def __str__(self) -> str:
        return f"{self.path}: {self.reason}" if self.path else self.reason


Compare = Callable[[Any, Any], Sequence[Unreadable]]
"""Given a writer's and a reader's schema, says what of the writer's records the reader can't read."""


def same(written: Any, read: Any) -> Sequence[Unreadable]:
    """Compare nothing: for who looks at the graph alone."""
    del written, read
    return ()
