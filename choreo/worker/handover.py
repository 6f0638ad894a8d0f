"""``Handover``: what a worker does as partitions come to it and go, where several share a store."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import TypeVar

from choreo.errors import Fenced, StoreChanged, StoreError
from choreo.ports import Assignment, Clock, Log, Store
from choreo.records import Partition
from choreo.worker.calls import Calls
from choreo.worker.claim import Claim
from choreo.worker.due_rows import DueRows
from choreo.worker.partitions import Partitions
from choreo.worker.patience import Patience
from choreo.worker.processor import Processor
from choreo.worker.publishing import Publishing
from choreo.worker.uncommitted import Uncommitted

T = TypeVar("T")

log = logging.getLogger("choreo.worker")

_FLUSH_SECONDS = 1.0
"""How long the next owner waits for the answers to what is in flight, which it would publish again."""


class Handover:
    """Takes partitions over, and gives them up.

    With a partition go its sagas in memory, its records that are not processed yet, and its calls: these are
    cut, and called again by the next owner, with the same idempotency keys. What they return is dropped.
    """

    def __init__(
        self,
        participant: str,
        store: Store,
        records: Log,
        publishing: Publishing,
        clock: Clock,
        processor: Processor,
        partitions: Partitions,
        calls: Calls,
        due: DueRows,
        uncommitted: Uncommitted,
        claim: Claim,
        patience: Patience,
    ) -> None:
        self._participant = participant
        self._store = store
        self._log = records
        self._publishing = publishing
        self._clock = clock
        self._processor = processor
        self._partitions = partitions
        self._calls = calls
        self._due = due
        self._uncommitted = uncommitted
        self._claim = claim
        self._patience = patience

    def take_over(self, assignments: Sequence[Assignment]) -> list[int]:
        """Take partitions over, and return the offsets at which to begin."""
        work = lambda: self.unless_lost(lambda: self._partitions.assign(assignments))  # noqa: E731
        positions = self._patience.until_done(work)
        self._processor.instances.clear()
        if not self._store.serves_one:
            self._claim.note(self._partitions.deaths)
            self._due.begin()
            self._due.at_once()
        return positions

    def give_up(self, partitions: Sequence[Partition]) -> None:
        """Give partitions up, as the group gives them to another worker."""
        if self._store.serves_one:
            self._claim.check()  # before the group is joined again
            self._partitions.revoke(partitions)
            self._processor.instances.clear()
            return
        self._drop(partitions)
        self._uncommitted.acknowledged.extend(self._publishing.flush(_FLUSH_SECONDS))
        try:
            self.unless_lost(lambda: self._claim.give_up(partitions, self._uncommitted.acknowledged))
        except StoreError as error:  # the next owner takes what is under way for cut off
            log.warning("%s: partitions go as they are: %s", self._participant, error)
        self._store.disown(partitions)

    def unless_lost(self, work: Callable[[], T]) -> T:
        """Return the result of ``work``, which is repeated without the partitions that are another's."""
        while True:
            try:
                return work()
            except Fenced as error:
                self.lose(error)
            except StoreChanged:  # what was in memory is dropped in any case
                continue

    def lose(self, error: Fenced) -> None:
        """Drop the partitions that another worker has taken over; raise where it was the whole store."""
        if not error.partitions:
            raise error
        log.warning("%s: %s: it goes on without, and asks its group again", self._participant, error.message)
        self._drop(sorted(error.partitions))
        self._log.rejoin()  # whoever has taken them over may have come too late, and the group not know of it

    def _drop(self, partitions: Sequence[Partition]) -> None:
        self._partitions.revoke(partitions)
        self._processor.instances.clear()
        gone = frozenset(partitions)
        self._uncommitted.drop(gone)
        self._calls.drop(gone, self._clock.now())
        self._due.at_once()
