"""What a store holds of the work of one saga besides its saga log, from which no row says what is queued."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from choreo.ports import Store
from choreo.protocol import Role
from choreo.protocol.recorded_inputs import Pending
from choreo.records import DeadLetter, Entry, Partition, Release, Scheduled
from choreo.worker.schedule import SETTLING

NEWLY_DECLARED = "newly-declared"
"""The reason of a dead letter that has what is newly declared done after all; it is requeued at once."""


class Newest:
    """The newest release of a store, or None: since when today's declarations are in force.

    Where several workers share the store, a partition may have been one's of another release since.
    """

    def __init__(self, release: Release | None, *, is_shared: bool = False) -> None:
        self._release = release
        self._is_shared = is_shared
        self._is_only = release is not None and release.id == 1 and release.after == 0

    def wrote(self, entries: Sequence[Entry]) -> bool:
        """Whether all rows of a saga are its: then they say by themselves what is queued."""
        if self._is_only or self._is_shared or self._release is None:
            return self._is_only
        first = next((entry for entry in entries if entry.input == "event"), None)
        place = Partition(first.topic, first.partition) if first else None
        return first is not None and first.offset >= self._release.positions.get(place, 0)  # type: ignore[arg-type]


def pending_of(store: Store, role: Role, entries: Sequence[Entry]) -> Pending:
    """Return the pending work of the saga with these rows, at least one."""
    key = entries[0].saga_id, role.contract.saga
    rows = store.scheduled(*key)
    letters = (each for each in store.letters_of(*key) if each.reason != NEWLY_DECLARED)
    withheld = {(each.task, each.name) for each in unsettled(rows, list(letters))}
    if is_before_start(store, entries):
        withheld.update(("action", step) for step in role.action)
    return Pending(
        frozenset(row.name for row in rows if row.task == "action"),
        {row.name: row.event_id for row in rows if row.task == "observer"},
        frozenset(row.name for row in rows if row.task == "deadline"),
        frozenset(withheld),
    )


def unsettled(rows: Sequence[Scheduled], letters: Sequence[DeadLetter]) -> Iterator[DeadLetter]:
    """Yield a saga's dead letters that are open, or about to be settled by a row of its schedule."""
    asked = {row.name for row in rows if row.task in SETTLING}
    return (letter for letter in letters if letter.state == "open" or str(letter.id) in asked)


def is_before_start(store: Store, entries: Sequence[Entry]) -> bool:
    """Whether some event came before the participant began to act: what it called for is never scheduled."""
    starts = {place: acts_from for place, (_, acts_from) in store.joined().items() if acts_from > 0}
    return bool(starts) and any(
        entry.offset < starts.get(Partition(entry.topic, entry.partition), 0)
        for entry in entries
        if entry.input == "event"
    )
