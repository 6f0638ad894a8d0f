"""``WaitingStarts``: the starts of sagas that a worker leaves in the outbox, as it is to start none."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence

from choreo.chain import PRUNED
from choreo.outcome import START
from choreo.ports import Store
from choreo.records import Record, SagaKey, Unpublished

log = logging.getLogger("choreo.worker")

_START = f"ce_step: {START}"


class WaitingStarts:
    """Keeps the starts of sagas from being published, and whatever else of these sagas follows them.

    The rows stay in the outbox, for a worker that starts sagas. A start that is on the topic already, as it
    was published by a process that ended before that was acknowledged, has started its saga and goes out.
    """

    def __init__(self, participant: str, store: Store) -> None:
        self._participant = participant
        self._store = store
        self._rows: dict[SagaKey, list[int]] = {}
        self._ids: dict[bytes, list[SagaKey]] = {}
        self._heard_of: set[bytes] = set()
        self._said = 0

    def sift(self, rows: Iterable[Unpublished]) -> list[Unpublished]:
        """Return the rows that go out; the others wait."""
        return [row for row in rows if not self._waits(row)]

    def note(self, records: Iterable[Record]) -> None:
        """Note the sagas of records, which may hold a start that waits here."""
        if self._rows:
            self._heard_of.update(each.key for each in records if each.key in self._ids)

    def let_go(self) -> list[Unpublished]:
        """Return the rows that need wait no longer: those of sagas that the topic has begun."""
        sagas = [saga for key in sorted(self._heard_of) for saga in self._ids[key] if self._has_begun(saga)]
        self._heard_of.clear()
        return [row for saga in sagas for row in self._taken(saga)]

    def say(self) -> None:
        """Log how many starts wait: the first time, whenever their number has doubled, and at 0."""
        waiting = len(self._rows)
        if waiting and waiting >= 2 * self._said:
            log.warning(
                "%s: starts of sagas wait in the outbox: %d, as this worker starts none "
                "(hint: one without --no-starts publishes them)",
                self._participant,
                waiting,
            )
            self._said = waiting
        elif self._said and not waiting:
            log.warning("%s: no start of a saga waits in the outbox any more", self._participant)
            self._said = 0

    def _waits(self, row: Unpublished) -> bool:
        saga = SagaKey(row.saga_id, row.saga_type)
        if saga not in self._rows:
            if _START not in row.headers.split("\n") or self._has_begun(saga):
                return False
            self._rows[saga] = []
            self._ids.setdefault(row.saga_id.encode(), []).append(saga)
        self._rows[saga].append(row.seq)
        return True

    def _has_begun(self, saga: SagaKey) -> bool:
        """Whether the saga's start was folded; its rows may be pruned since."""
        history = self._store.history(*saga)
        return any(
            entry.input == PRUNED or (entry.input == "event" and entry.step == START) for entry in history
        )

    def _taken(self, saga: SagaKey) -> Iterator[Unpublished]:
        """Yield the rows of a saga that wait no longer, as the outbox has them now."""
        key = saga.saga_id.encode()
        self._ids[key].remove(saga)
        if not self._ids[key]:
            del self._ids[key]
        for seq in self._rows.pop(saga):
            yield from _row(self._store.unpublished(seq - 1, 1), seq)


def _row(rows: Sequence[Unpublished], seq: int) -> Sequence[Unpublished]:
    return rows if rows and rows[0].seq == seq else ()
