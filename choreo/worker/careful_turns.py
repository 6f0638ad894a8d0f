"""``CarefulTurns``: processes each item in a turn of its own, so that the one that fails is known."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import islice, takewhile
from typing import Any

from choreo.ports import Clock, Store
from choreo.records import Record, Scheduled
from choreo.worker.calls import Call, Calls, Finished
from choreo.worker.due_rows import DueRows
from choreo.worker.partitions import Partitions
from choreo.worker.processor import Processor
from choreo.worker.uncommitted import Uncommitted, Work


class CarefulTurns:
    """Processes what was taken and what is due item by item, and buries the item that fails alone.

    ``items`` is the number of due rows and imports for which the worker is still careful.
    """

    def __init__(
        self,
        store: Store,
        clock: Clock,
        processor: Processor,
        partitions: Partitions,
        calls: Calls,
        due: DueRows,
        uncommitted: Uncommitted,
        turn_items: int,
        turn_seconds: float,
    ) -> None:
        self.items = 0
        self._store = store
        self._clock = clock
        self._processor = processor
        self._partitions = partitions
        self._calls = calls
        self._due = due
        self._uncommitted = uncommitted
        self._turn_items = turn_items
        self._turn_seconds = turn_seconds

    def begin(self, items: int) -> None:
        """Be careful for so many due rows and imports at least."""
        self.items = max(self.items, items)
        self._partitions.postpones = True

    def _end(self) -> None:
        self.items = 0
        self._partitions.postpones = False

    def transact(self) -> int:
        """Fold the records, and process everything else item by item; return the number of items."""
        finished, extended = self._uncommitted.of_calls()
        if self._uncommitted.has_answers:
            self._one(lambda _: self._uncommitted.process_answers())
            self._uncommitted.forget_answers()
        done = self._do_results(finished) + self._do_records()
        for call in extended:
            self._one(lambda _, call=call: self._processor.extend_call(call))  # type: ignore[misc]
        if self._partitions.any_live:
            done += self._do_due()
        if self.items <= 0:
            self._end()
        self._due.look_ahead()
        return done

    def do_alone(self, row: Scheduled) -> None:
        """Process a due row that is marked as under way."""
        self._uncommitted.alone = row
        started: Call | None = self._one(
            lambda _: self._processor.due(row),
            lambda error: self._processor.fail(row, error),
            lambda error: self._processor.bury(row, error),
        )
        self._uncommitted.alone = None
        if started is not None:
            self._calls.begun.append(started)
        self._due.look_ahead()

    def _do_results(self, finished: Sequence[Finished]) -> int:
        done = len(finished)
        for each in list(finished):
            self._one(
                lambda _, each=each: self._processor.end_call(each),  # type: ignore[misc]
                lambda error, each=each: self._processor.end_call(each._replace(result=None, error=error)),  # type: ignore[misc]
                lambda error, each=each: self._processor.bury(each.call.row, error),  # type: ignore[misc]
            )
        if finished:
            self._uncommitted.finished.clear()
        return done

    def _do_records(self) -> int:
        """Fold delivered records together, or the first of them where that fails; import them one by one."""
        backlog = self._uncommitted.backlog
        if not backlog:
            return 0
        records = islice(backlog, self._turn_items)
        limit = sum(1 for _ in takewhile(lambda each: not self._processor.is_import(each), records))
        if not limit:
            record = backlog[0]
            if self._one(lambda _: self._processor.mark_import(record)):
                self._due.expect_suspects()
            self._do_record(record)
            self.items -= 1
            return 1
        deadline = self._clock.monotonic() + self._turn_seconds
        before = dict(self._partitions.positions)
        taken: list[Record] = []
        try:
            with self._store.turn():
                done = self._uncommitted.process_records(deadline, taken, limit)
        except Exception as error:
            if not self._uncommitted.undo(error, before, taken):
                raise
            return self._do_record(backlog[0])
        self._processor.tally.commit()
        return done

    def _do_record(self, record: Record) -> int:
        self._one(
            lambda _: self._advance(record, self._processor.record),
            lambda error: self._advance(record, lambda each: self._processor.bury_record(each, error)),
        )
        self._uncommitted.backlog.popleft()
        return 1

    def _advance(self, record: Record, fold: Callable[[Record], None]) -> None:
        before = dict(self._partitions.positions)
        if self._partitions.advance(record):
            fold(record)
        self._partitions.save(before)

    def _do_due(self) -> int:
        """End the calls whose time is over, and process the next due row."""
        now = self._clock.now()
        ended = self._end_overdue_calls(now)
        row = self._due.first(now)
        if row is not None:
            self._do_next(row)
            return ended + 1
        is_under_way = ended or self._uncommitted.backlog or self._due.has_waiting_suspects
        # What is held for a partition that isn't live yet may be what ended the process.
        if self._partitions.complete and not is_under_way:
            self._end()
        return ended

    def _end_overdue_calls(self, now: int) -> int:
        overdue = self._due.overdue_calls(now)
        for call in overdue:
            self._one(
                lambda _, call=call: self._processor.time_out_call(call),  # type: ignore[misc]
                lambda error, call=call: self._processor.bury(call.row, error),  # type: ignore[misc]
            )
            self._calls.cut(call, now)
        return len(overdue)

    def _do_next(self, row: Scheduled) -> None:
        """Mark a due row as under way, and process it, unless its saga's partition isn't live."""
        if not self._partitions.complete and self._one(lambda _: self._holds(row)):
            return
        if row.deaths > 1:
            self._due.quiet.start_anew()
        if self._one(lambda _: self._marks(row), lambda error: self._processor.bury(row, error), marks=row):
            self.do_alone(row)
        self.items -= 1

    def _holds(self, row: Scheduled) -> bool:
        return not self._processor.is_changed(row) and self._due.holds(row)

    def _marks(self, row: Scheduled) -> bool:
        if self._processor.is_changed(row):
            return False
        self._processor.mark(row)
        return True

    def _one(self, *ways: Callable[[Any], Any], marks: Scheduled | None = None) -> Any:
        """Do one item in a turn of its own, in the first of several ways that the database accepts.

        Each way takes the error of the one before it. ``marks`` is the row that is under way afterwards.
        """
        failure: Exception | None = None
        for way in ways:
            before = dict(self._partitions.positions)
            try:
                with self._store.turn():
                    done = way(failure)
            except Exception as error:
                if not self._uncommitted.undo(error, before, work=Work(alone=marks)):
                    raise
                failure = error
            else:
                self._processor.tally.commit()
                return done
        assert failure is not None
        raise failure
