"""``Worker``: the loop. Take, transact, give; a crash anywhere leaves the store at a turn's boundary."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from choreo.errors import StoreMismatch
from choreo.participant import Participant
from choreo.ports import Assignment, Clock, Codec, Log, Store
from choreo.records import Partition, Record
from choreo.retry import Retry
from choreo.worker.calls import Calls, Finished, Runner
from choreo.worker.outbox import publication
from choreo.worker.runtime import Runtime
from choreo.worker.threads import Threads

log = logging.getLogger("choreo.worker")

_CALL_SECONDS = 0.005
"""The longest wait for the log while calls are out: so soon a result is committed."""

From = Literal["earliest", "latest"] | datetime


@dataclass(frozen=True)
class Options:
    """How a worker runs.

    ``turn_items`` and ``turn_seconds`` bound a turn, so that the service's own writers get in;
    ``idle_seconds`` is the longest wait for the log, within which a saga started by another process is
    noticed. ``in_flight`` bounds the publications that the log has not acknowledged, ``sagas_in_memory`` the
    sagas that need not be folded again. ``start`` says from where a participant that is new to a topic acts:
    it folds all the same. ``flush_seconds`` bounds the wait for acknowledgements at a graceful stop.
    ``calls`` bounds the handlers that run outside of the transaction at the same time; the others wait in
    the store.
    """

    turn_items: int = 500
    turn_seconds: float = 0.02
    idle_seconds: float = 0.025
    flush_seconds: float = 5.0
    sagas_in_memory: int = 20_000
    in_flight: int = 10_000
    calls: int = 200
    start: From = "earliest"
    schema_retry: Retry = Retry(attempts=6, delay=timedelta(seconds=1))  # noqa: RUF009 (frozen)


class Worker:
    """Runs one participant on its store and its log, in the calling thread.

    `run` loops until `stop` is called, from another thread or a signal handler; `turn` is one round of
    it, for whoever wants to drive the loop. Any error leaves it: the caller starts anew (crash-only).
    ``runner`` runs the handlers that are called outside of the transaction; in threads where none is given.
    """

    def __init__(
        self,
        participant: Participant,
        store: Store,
        records: Log,
        codec: Codec,
        clock: Clock,
        options: Options = Options(),
        runner: Runner | None = None,
    ) -> None:
        self._participant = participant
        self._store = store
        self._log = records
        self._clock = clock
        self._options = options
        self._stopping = threading.Event()
        self._runtime = Runtime(
            participant,
            store,
            codec,
            clock,
            sagas_in_memory=options.sagas_in_memory,
            schema_retry=options.schema_retry,
        )
        self._calls = Calls(options.calls, runner or Threads())
        self._has_calls = any(handler.is_outside for handler in participant.handlers)
        self._backlog: deque[Record] = deque()
        self._acknowledged: list[int] = []
        self._positions: dict[Partition, int] = {}
        self._behind: dict[Partition, int] = {}
        self._published = 0
        self._in_flight = 0
        self._next_due: int | None = None
        self._committed = 0.0

    def start(self) -> None:
        """Check that store and cluster belong together, and begin to consume.

        Raises `StoreMismatch` when they don't, `LogError` when the cluster can't be reached.
        """
        with self._store.turn():
            self._store.bind(self._log.cluster_id(), self._participant.name)
            self._store.claim()  # before what the last worker had out is recalled
            if self._participant.prepare:
                self._participant.prepare(self._store.db)
            self._store.recall()
        self._log.subscribe(self._participant.topics, self._assigned, self._revoked)
        # An earlier release of the service may have left some that this one runs inside.
        self._has_calls = self._has_calls or self._store.next_due("call") is not None
        self._next_due = self._look_ahead()
        self._store.changed()
        self._give()

    def run(self) -> None:
        """Loop until `stop`; then finish the turn, wait for acknowledgements, and leave."""
        try:
            self.start()
            while not self._stopping.is_set():
                self.turn()
            self._finish()
        finally:
            self._calls.stop(self._options.flush_seconds)
            self._log.close()

    def stop(self) -> None:
        """Ask the loop to end after the turn that it is in."""
        self._stopping.set()

    @property
    def is_live(self) -> bool:
        """Say whether all that the log held at the assignment has been folded."""
        return self._runtime.live

    @property
    def wakes_at(self) -> int | None:
        """Give the time (ms) at which it has something to do, whatever the log brings; None where it hasn't.

        What another process asks for in the store is not in it before the next turn.
        """
        if not self._runtime.live:
            return None
        if self._backlog or self._calls.have_finished or self._calls.extended():
            return self._clock.now()
        return self._next_due

    @property
    def calls(self) -> Calls:
        """The handlers that run outside of the transaction."""
        return self._calls

    def turn(self) -> int:
        """Go round once: take, transact, give. Give the number of items that were done."""
        self._take()
        done = self._transact()
        self._give()
        return done

    def _take(self) -> None:
        if self._store.changed():
            self._next_due = self._look_ahead()
        if self._backlog:
            wait, limit = 0.0, 1
        else:
            wait, limit = self._wait(), self._options.turn_items
        taken = self._log.take(limit, wait)
        self._backlog.extend(taken.records)
        self._acknowledged.extend(taken.acknowledged)
        self._in_flight -= len(taken.acknowledged)
        for partition in taken.ended:
            # The end is after the last record, wherever the log says: some offsets are never delivered.
            if partition in self._behind:
                ours = (each for each in self._backlog if (each.topic, each.partition) == partition)
                self._behind[partition] = max((each.offset + 1 for each in ours), default=0)

    def _wait(self) -> float:
        if not self._runtime.live:  # before that, only the log can help
            return self._options.idle_seconds
        if self._calls.have_finished:
            return 0.0
        longest = self._options.idle_seconds
        if self._calls.are_out:
            longest = min(longest, _CALL_SECONDS)
        if self._next_due is None:
            return longest
        return min(max((self._next_due - self._clock.now()) / 1000, 0.0), longest)

    def _look_ahead(self) -> int | None:
        """Say when there is something to do next, as far as the store and the calls know."""
        due = self._store.next_due()
        if not self._has_calls:
            return due
        times = (due, self._calls.next_limit, self._store.next_due("call") if self._calls.room > 0 else None)
        return min((time for time in times if time is not None), default=None)

    def _transact(self) -> int:
        self._settle_down()
        finished, extended = self._results(), self._calls.extended()
        due = self._runtime.live and self._is_anything_due()
        if not self._backlog and not self._acknowledged and not due and not (finished or extended):
            return 0
        deadline = self._clock.monotonic() + self._options.turn_seconds
        done = 0
        with self._store.turn():
            if self._acknowledged:
                self._store.acknowledge(self._acknowledged)
            before = dict(self._positions)
            while self._backlog and done < self._options.turn_items:
                self._fold(self._backlog.popleft())
                done += 1
                if self._clock.monotonic() > deadline:
                    break
            self._advance(before)
            for each in finished:
                self._runtime.end_call(each)
                done += 1
            for call in extended:
                self._runtime.extend_call(call)
            if due:
                done += self._do_due(self._options.turn_items - done, deadline)
            self._next_due = self._look_ahead()
        self._acknowledged.clear()
        return done

    def _results(self) -> list[Finished]:
        """Take what calls have brought; not before all that the log holds has been folded (R4)."""
        if not (self._runtime.live and self._calls.have_finished):
            return []
        finished = self._calls.take(self._options.turn_items)
        self._next_due = self._look_ahead()  # there is room for others
        return finished

    def _is_anything_due(self) -> bool:
        return self._next_due is not None and self._next_due <= self._clock.now()

    def _fold(self, record: Record) -> None:
        partition = Partition(record.topic, record.partition)
        position = self._positions.get(partition)
        if position is None or record.offset < position:
            return  # revoked meanwhile, or delivered again after a rebalance
        self._runtime.fold_record(record)
        self._positions[partition] = record.offset + 1

    def _advance(self, before: dict[Partition, int]) -> None:
        for partition, position in self._positions.items():
            if before.get(partition, position) != position:
                self._store.advance(partition, before[partition], position)

    def _settle_down(self) -> None:
        """Go live once everything that lay in the log at the assignment has been folded (R4)."""
        if self._runtime.live:
            return
        for partition, end in list(self._behind.items()):
            if self._positions[partition] >= end:
                del self._behind[partition]
        if self._positions and not self._behind:
            self._runtime.live = True
            log.info("%s is live on %d partitions", self._participant.name, len(self._positions))

    def _do_due(self, limit: int, deadline: float) -> int:
        done = 0
        now, limit = self._clock.now(), max(limit, 1)
        rows = self._store.due(now, limit)
        if self._has_calls:
            for call in self._calls.overdue(now):
                self._runtime.time_out_call(call)
                self._calls.cut(call)
                done += 1
            rows = [*rows, *self._store.due(now, min(limit, max(self._calls.room, 0)), "call")]
        for row in rows:
            self._runtime.run_due(row)
            done += 1
            if self._clock.monotonic() > deadline:
                break
        return done

    def _give(self) -> None:
        self._start_calls()
        while (room := self._options.in_flight - self._in_flight) > 0:
            rows = self._store.unpublished(self._published, min(room, self._options.turn_items))
            if not rows:
                break
            self._log.publish([publication(row) for row in rows])
            self._published = rows[-1].seq
            self._in_flight += len(rows)
        now = self._clock.monotonic()
        if now - self._committed >= 1:
            self._log.commit(self._positions)
            self._committed = now

    def _start_calls(self) -> None:
        if not self._runtime.begun:
            return
        for call in self._runtime.begun:
            self._calls.start(call)
        self._runtime.begun.clear()
        self._next_due = self._look_ahead()  # they have their times, too

    def _finish(self) -> None:
        self._acknowledged.extend(self._log.flush(self._options.flush_seconds))
        with self._store.turn():
            self._store.acknowledge(self._acknowledged)
        self._log.commit(self._positions)

    def _assigned(self, assignments: Sequence[Assignment]) -> list[int]:
        """Say where to begin: where the store stands, or at the beginning of a partition that is new."""
        known = self._store.positions()
        with self._store.turn():
            for new in assignments:
                if new.partition not in known:
                    self._store.join(new.partition, new.low, new.high, self._acts_from(new))
        known = self._store.positions()
        for each in assignments:
            _check_range(each, known[each.partition])
            self._positions[each.partition] = known[each.partition]
            self._behind[each.partition] = each.high
        joined = self._store.joined()
        self._runtime.joined_at = {partition: end for partition, (end, _) in joined.items()}
        self._runtime.acts_from = {partition: first for partition, (_, first) in joined.items()}
        self._runtime.live = False
        self._runtime.sagas.clear()
        return [known[each.partition] for each in assignments]

    def _acts_from(self, new: Assignment) -> int:
        if self._options.start == "earliest":
            return new.low
        if self._options.start == "latest":
            return new.high
        milliseconds = round(self._options.start.timestamp() * 1000)
        return self._log.offsets_at([new.partition], milliseconds)[0]

    def _revoked(self, partitions: Sequence[Partition]) -> None:
        for partition in partitions:
            self._positions.pop(partition, None)
            self._behind.pop(partition, None)
        self._runtime.sagas.clear()


def _check_range(assignment: Assignment, position: int) -> None:
    if not assignment.low <= position <= assignment.high:
        raise StoreMismatch(
            f"{assignment.partition.topic}[{assignment.partition.number}]: the store stands at offset "
            f"{position}, the log holds {assignment.low} to {assignment.high}",
            hint="was the topic made anew, or were its records deleted before this participant read them?",
        )
