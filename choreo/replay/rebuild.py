"""``rebuild``: a saga as one participant knew it, folded from the rows of its log."""

from __future__ import annotations

from collections.abc import Iterable

from choreo.entry import Entry
from choreo.protocol import Instance, Role, fold_into
from choreo.replay.entries import input_of


def rebuild(role: Role, entries: Iterable[Entry]) -> Instance:
    """Fold a saga's log: the same rows always give the same saga.

    What a step did that the service doesn't declare any more is passed over.
    """
    saga = Instance()
    for entry in entries:
        if entry.input in ("begin", "ended") and entry.step not in role.action:
            continue
        if entry.input:
            fold_into(role, saga, input_of(entry))
    return saga
