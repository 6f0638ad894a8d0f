"""``Uncommitted``: what a worker has taken, until the turn is committed in which it was processed."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field
from itertools import islice

from choreo.ports import Clock, Refusal, Store, Taken
from choreo.records import Partition, Record, Scheduled
from choreo.worker.calls import Call, Calls, Finished
from choreo.worker.due_rows import DueRows
from choreo.worker.failure import is_of_an_item
from choreo.worker.partitions import Partitions
from choreo.worker.processor import Processor

_AHEAD = 100
"""The sagas of so many records are read together, which is more records than most turns have."""


@dataclass
class Work:
    """What became of the due rows of one turn: calls to start, calls to cut, and a row that runs alone."""

    done: int = 0
    begun: list[Call] = field(default_factory=list)
    overdue: list[Call] = field(default_factory=list)
    alone: Scheduled | None = None


class Uncommitted:
    """What was taken from the log and from the calls, and what is undone when a turn is rolled back.

    ``backlog`` are records, ``acknowledged`` and ``refused`` the log's answers to publications, ``finished``
    the results of calls. ``alone`` is a row, marked as under way, that is processed next, in a turn of its
    own.
    """

    def __init__(
        self,
        store: Store,
        clock: Clock,
        processor: Processor,
        partitions: Partitions,
        calls: Calls,
        due: DueRows,
        turn_items: int,
    ) -> None:
        self.backlog: deque[Record] = deque()
        self.acknowledged: list[int] = []
        self.refused: list[Refusal] = []
        self.finished: list[Finished] = []
        self.alone: Scheduled | None = None
        self._read_ahead = 0  # so many records of the backlog
        self._early: list[Finished] = []
        self._unsure: Work | None = None
        self._store = store
        self._clock = clock
        self._processor = processor
        self._partitions = partitions
        self._calls = calls
        self._due = due
        self._turn_items = turn_items

    def add(self, taken: Taken) -> None:
        """Add what was taken from the log."""
        self.backlog.extend(taken.records)
        self.acknowledged.extend(taken.acknowledged)
        self.refused.extend(taken.refused)

    @property
    def has_answers(self) -> bool:
        """Whether the log has answered."""
        return bool(self.acknowledged or self.refused)

    def of_calls(self) -> tuple[Sequence[Finished], Sequence[Call]]:
        """Return the results of calls, and the calls that ask for more time."""
        if not self._due.has_calls:
            return (), ()
        return self._results(), self._calls.extended()

    def _results(self) -> Sequence[Finished]:
        """Return the results of calls, none before its saga's partition is live (R4)."""
        if not (self._partitions.any_live and (self.finished or self._early or self._calls.have_finished)):
            return ()
        self.finished += [*self._early, *self._calls.take(self._turn_items)]
        self._early.clear()
        if not self._partitions.complete:
            self._early = [each for each in self.finished if not self._due.acts_on(each.call)]
            self.finished = [each for each in self.finished if self._due.acts_on(each.call)]
        self._due.look_ahead()  # other calls may begin now
        return self.finished

    def drop(self, partitions: Set[Partition]) -> None:
        """Drop what was taken of partitions that are another worker's."""
        kept = [each for each in self.backlog if Partition(each.topic, each.partition) not in partitions]
        self.backlog = deque(kept)
        self.finished = [each for each in self.finished if each.call.partition not in partitions]
        self._early = [each for each in self._early if each.call.partition not in partitions]
        if self._unsure is not None:
            self._unsure.begun = [call for call in self._unsure.begun if call.partition not in partitions]
            self._unsure.alone = self._kept(self._unsure.alone, partitions)
        self.alone = self._kept(self.alone, partitions)

    def _kept(self, row: Scheduled | None, partitions: Set[Partition]) -> Scheduled | None:
        if row is not None and self._store.partition_of(row.saga_id, row.saga_type) in partitions:
            return None
        return row

    # Inside a turn

    def process_answers(self) -> None:
        """Process what the log has acknowledged, and what it has refused."""
        self._store.acknowledge(self.acknowledged)
        for refusal in self.refused:
            self._processor.refuse(refusal)

    def process_records(self, deadline: float, taken: list[Record], limit: int) -> int:
        """Process records until the turn's time is over, and save the positions; return their number.

        They are moved to ``taken``, for `undo`.
        """
        before = dict(self._partitions.positions)
        while self.backlog and len(taken) < limit:
            if not self._read_ahead:
                self._read_ahead = min(len(self.backlog), _AHEAD)
                self._processor.read_ahead(islice(self.backlog, self._read_ahead))
            self._read_ahead -= 1
            record = self.backlog.popleft()
            taken.append(record)
            if self._partitions.advance(record):
                self._processor.record(record)
            if self._clock.monotonic() > deadline:
                break
        if taken:
            self._partitions.save(before)
        return len(taken)

    # After a turn

    def move_to_ends(self) -> None:
        """Move positions to the ends of partitions, once all records are processed."""
        if self.backlog:
            return
        before = dict(self._partitions.positions)
        try:
            self._partitions.move_to_ends()
        except Exception as error:
            self.undo(error, before)
            raise

    def forget_answers(self) -> None:
        """Forget the log's answers, as they are committed."""
        self.acknowledged.clear()
        self.refused.clear()

    def undo(
        self,
        error: Exception,
        before: Mapping[Partition, int],
        taken: Sequence[Record] = (),
        work: Work | None = None,
    ) -> bool:
        """Go back to the beginning of a turn that was rolled back, at the positions of ``before``.

        Return whether an item of the turn is to blame for the error. Otherwise the turn may be committed all
        the same, which the next `settle` finds out.
        """
        self._processor.tally.undo()
        self._partitions.undo({each: at for each, at in before.items() if each in self._partitions.positions})
        self.backlog.extendleft(reversed(taken))
        self._read_ahead = 0
        self._processor.instances.clear()
        self._due.at_once()
        if is_of_an_item(error):
            return True
        self._unsure = work or Work()
        return False

    def settle(self) -> None:
        """Find out what was committed although the store failed, as a disk may do."""
        work = self._unsure
        if work is None:
            return
        known = self._store.positions()
        self._partitions.undo({each: known.get(each, at) for each, at in self._partitions.positions.items()})
        self._calls.begun += [call for call in work.begun if self._is_out(call.row)]
        if work.alone is not None and self._is_out(work.alone):
            self.alone = work.alone
        self._unsure = None

    def _is_out(self, row: Scheduled) -> bool:
        rows = self._store.scheduled(row.saga_id, row.saga_type)
        return any(each.lane == "out" and (each.task, each.name) == (row.task, row.name) for each in rows)
