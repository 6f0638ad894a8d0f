"""``Turns``: processes what was taken and what is due, all items of a turn in one transaction."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from choreo.errors import SavepointSkipped
from choreo.ports import Clock, Store
from choreo.records import Record
from choreo.worker.calls import Call, Calls, Finished
from choreo.worker.careful_turns import CarefulTurns
from choreo.worker.due_rows import DueRows
from choreo.worker.failure import detail_of
from choreo.worker.options import Options
from choreo.worker.partitions import Partitions
from choreo.worker.processor import Processor
from choreo.worker.uncommitted import Uncommitted, Work

log = logging.getLogger("choreo.worker")


class Savepoints:
    """Whether a turn skips savepoints, as most have no use for them; a turn that misses one is done again.

    After that the next turns make them, twice as many each time the first that skips them misses one again.
    """

    def __init__(self) -> None:
        self._turns = 0
        self._next = 1

    @property
    def are_skipped(self) -> bool:
        """Whether the next turn skips them."""
        return not self._turns

    def missed(self) -> None:
        """Note that a turn has missed one."""
        self._turns, self._next = self._next + 1, min(2 * self._next, _MOST_TURNS)  # it is done again, too

    def committed(self) -> None:
        """Note that a turn is done."""
        if self._turns:
            self._turns -= 1
        else:
            self._next = 1


_MOST_TURNS = 64


class Turns:
    """Processes the items of a turn together; those of a turn that is lost are left to ``careful``."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        processor: Processor,
        partitions: Partitions,
        calls: Calls,
        due: DueRows,
        uncommitted: Uncommitted,
        careful: CarefulTurns,
        options: Options,
    ) -> None:
        self._store = store
        self._clock = clock
        self._processor = processor
        self._partitions = partitions
        self._calls = calls
        self._due = due
        self._uncommitted = uncommitted
        self._careful = careful
        self._options = options
        self._turn_seconds = options.seconds_of_turn(locks_all=store.serves_one)
        self._savepoints = Savepoints()

    def transact(self) -> int:
        """Process the items of one turn in one transaction; return their number."""
        finished, extended = self._uncommitted.of_calls()
        is_due, held = self._due.is_due, self._uncommitted
        if not (held.backlog or held.has_answers or is_due or finished or extended):
            return 0
        skips = self._savepoints.are_skipped
        done = self._transact(finished, extended, is_due=is_due, skips=skips)
        if done is None:
            try:
                done = self._transact(finished, extended, is_due=is_due, skips=False)
            finally:
                self._processor.forget_ended()
        assert done is not None
        return done

    def _transact(
        self, finished: Sequence[Finished], extended: Sequence[Call], *, is_due: bool, skips: bool
    ) -> int | None:
        """Process the items; return None where that is to be done again, with savepoints."""
        held = self._uncommitted
        deadline = self._clock.monotonic() + self._turn_seconds
        before = dict(self._partitions.positions)
        taken: list[Record] = []
        work = Work()
        try:
            with self._store.turn():
                if skips:
                    self._store.skip_savepoints()
                held.process_answers()
                done = held.process_records(deadline, taken, self._options.turn_items) + self._do_calls(
                    finished, extended
                )
                if is_due:
                    done += self._do_due(max(self._options.turn_items - done, 1), deadline, work)
                self._due.look_ahead()
        except Exception as error:
            if not held.undo(error, before, taken, work):
                raise
            if skips and isinstance(error, SavepointSkipped):
                self._savepoints.missed()
                return None
            self._careful.begin(len(taken) + len(finished) + work.done + 1)
            log.warning("a turn was lost, its items are done one by one: %s", detail_of(error, redact=True))
            return 1
        self._savepoints.committed()
        self._processor.tally.commit()
        if finished:  # others wait for their partition
            held.finished.clear()
        self._committed(work)
        return done

    def _do_calls(self, finished: Sequence[Finished], extended: Sequence[Call]) -> int:
        """Process the results of calls, and their extensions."""
        for each in finished:
            self._processor.end_call(each)
        for call in extended:
            self._processor.extend_call(call)
        return len(finished)

    def _do_due(self, limit: int, deadline: float, work: Work) -> int:
        """Process due rows of the schedule."""
        now = self._clock.now()
        self._end_overdue_calls(now, work)
        rows, without_room = self._due.rows(now, limit)
        for number, row in enumerate(rows):
            if not self._partitions.complete and self._due.holds(row):
                continue
            work.done += 1
            if row.deaths > 1:
                self._due.quiet.start_anew()
            if self._processor.runs_alone(row):
                if work.alone is None:
                    self._processor.mark(row)
                    work.alone = row
                continue
            call_to_start = self._processor.due(row, has_room=number < len(rows) - without_room)
            if call_to_start is not None:
                work.begun.append(call_to_start)
            if self._clock.monotonic() > deadline:
                break
        return work.done

    def _end_overdue_calls(self, now: int, work: Work) -> None:
        for call in self._due.overdue_calls(now):
            self._processor.time_out_call(call)
            work.overdue.append(call)
            work.done += 1

    def _committed(self, work: Work) -> None:
        """Do what must wait for the commit of a turn."""
        self._calls.begun += work.begun
        self._uncommitted.alone = work.alone
        self._uncommitted.forget_answers()
        if work.overdue:
            for call in work.overdue:
                self._calls.cut(call, self._clock.now())
            self._due.look_ahead()
        if work.alone is not None:
            self._careful.do_alone(work.alone)
