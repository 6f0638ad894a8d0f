"""``Worker``: the loop of a participant, which takes, transacts and publishes; a crash undoes one turn."""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from choreo.participant import Participant
from choreo.ports import Assignment, Clock, Codec, Log, Refusal, Store
from choreo.records import Lane, Partition, Record
from choreo.retry import Retry
from choreo.worker.calls import Call, Calls, Finished, Runner
from choreo.worker.outbox import publications
from choreo.worker.partitions import From, Partitions
from choreo.worker.processor import Processor
from choreo.worker.room import Room
from choreo.worker.threads import Threads
from choreo.worker.topics import Topics

_CALL_SECONDS = 0.005
"""The longest wait for the log while calls are under way, which delays the commit of their results."""


@dataclass(frozen=True)
class Options:
    """The options of a worker.

    ``turn_items`` and ``turn_seconds`` bound a turn, so that other writers of the service's database need not
    wait long; ``idle_seconds`` is the longest wait for the log, and so the longest delay of a saga that
    another process starts. ``in_flight`` bounds the publications that the log has not acknowledged,
    ``sagas_in_memory`` the cached sagas. ``start`` is the position from which a participant that is new to a
    topic acts; it folds the whole topic in any case. ``flush_seconds`` bounds the wait for acknowledgements
    at a graceful stop, ``drain_seconds`` that for calls under way. ``calls`` bounds the actions that run
    outside of the transaction at the same time, and likewise the compensations; the others wait in the store.
    """

    turn_items: int = 500
    turn_seconds: float = 0.02
    idle_seconds: float = 0.025
    flush_seconds: float = 5.0
    drain_seconds: float = 0.0
    sagas_in_memory: int = 20_000
    in_flight: int = 10_000
    calls: int = 200
    start: From = "earliest"
    schema_retry: Retry = Retry(attempts=6, delay=timedelta(seconds=1))  # noqa: RUF009 (frozen)


class Worker:
    """Runs one participant on its store and its log, in the calling thread.

    `run` loops until `stop` is called, from another thread or a signal handler; `turn` is one iteration, for
    a caller with a loop of its own. After any error the caller must create a new worker (crash-only).
    ``runner`` runs the handlers outside of the transaction, by default in threads.
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
        self._pid = os.getpid()
        self._topics = Topics(participant, store, records, clock)
        self._partitions = Partitions(store, records, options.start, self._topics)
        self._processor = Processor(
            participant,
            store,
            codec,
            clock,
            self._partitions,
            sagas_in_memory=options.sagas_in_memory,
            schema_retry=options.schema_retry,
        )
        self._calls = Calls(options.calls, runner or Threads())
        self._room = Room(participant.name, self._calls, store, clock)
        self._has_calls = any(handler.is_outside for handler in participant.handlers)
        self._backlog: deque[Record] = deque()
        self._acknowledged: list[int] = []
        self._refused: list[Refusal] = []
        self._published = 0
        self._in_flight = 0
        self._next_due: int | None = None
        self._looked = 0.0

    @property
    def is_live(self) -> bool:
        """Whether all that the log held at the assignment has been folded."""
        return self._partitions.live

    @property
    def wakes_at(self) -> int | None:
        """The time (ms) of the next work that does not come from the log, or None.

        Work that another process has put into the store is included only after the next turn.
        """
        if not self._partitions.live:
            return None
        if self._backlog or self._calls.have_finished or self._calls.extended():
            return self._clock.now()
        return self._next_due

    @property
    def calls(self) -> Calls:
        """The handlers that run outside of the transaction."""
        return self._calls

    def start(self) -> None:
        """Check that store and cluster belong together, and begin to consume.

        Raises `StoreMismatch` when they don't, `LogError` when the cluster can't be reached.
        """
        with self._store.turn():
            self._store.bind(self._log.cluster_id(), self._participant.name)
            self._store.claim()  # before the calls of the last worker are recalled
            if self._participant.prepare:
                self._participant.prepare(self._store.db)
            self._store.recall()
        self._topics.start()  # before anything is published, which a topic made anew would take
        self._log.subscribe(self._participant.topics, self._assigned, self._revoked)
        # Handlers that an earlier release ran outside of the transaction may now run inside.
        lanes: tuple[Lane, ...] = ("call", "undo")
        self._has_calls = self._has_calls or any(self._store.next_due(lane) is not None for lane in lanes)
        self._next_due = self._look_ahead()
        self._store.changed()
        self._publish()

    def run(self) -> None:
        """Loop until `stop`; then finish the turn, wait for acknowledgements, and leave the group."""
        try:
            self.start()
            while not self._stopping.is_set():
                self.turn()
            self._drain()
            self._finish()
        finally:
            if (
                os.getpid() != self._pid
            ):  # a handler has forked: this copy must not close what is its parent's
                os._exit(1)
            self._calls.stop(self._options.flush_seconds)
            self._log.close()

    def stop(self) -> None:
        """End the loop after the current turn."""
        self._stopping.set()

    def turn(self) -> int:
        """Run one turn: take, transact, publish. Return the number of processed items."""
        self._take()
        done, begun = self._transact()
        if begun:
            for call in begun:
                self._calls.start(call)
            self._next_due = self._look_ahead()  # the started calls have time limits
        self._publish()
        self._look_around()
        return done

    # Take

    def _take(self) -> None:
        """Take the delivered records and the acknowledgements from the log."""
        if self._store.changed():
            self._next_due = self._look_ahead()
        if self._backlog:
            wait, limit = 0.0, 1
        else:
            wait, limit = self._wait(), self._options.turn_items
        taken = self._log.take(limit, wait)
        self._backlog.extend(taken.records)
        self._acknowledged.extend(taken.acknowledged)
        self._refused.extend(taken.refused)
        self._in_flight -= len(taken.acknowledged) + len(taken.refused)
        if not self._partitions.live:
            for partition in taken.ended:
                self._partitions.end_at(partition, self._backlog)

    def _wait(self) -> float:
        """Return how many seconds to wait for the log."""
        longest = self._options.idle_seconds
        if not self._partitions.live:  # until then, only the log has work
            return longest
        if self._has_calls:
            if self._calls.have_finished:
                return 0.0
            if self._calls.out:
                longest = min(longest, _CALL_SECONDS)
        if self._next_due is None:
            return longest
        return min(max((self._next_due - self._clock.now()) / 1000, 0.0), longest)

    def _look_ahead(self) -> int | None:
        """Return the time of the next work in the store or of the calls, or None."""
        due = self._store.next_due()
        if not self._has_calls:
            return due
        times = (due, self._calls.next_limit, self._next_call(), self._next_undo())
        return min((time for time in times if time is not None), default=None)

    def _next_call(self) -> int | None:
        """Return when an action can next be called or, without room, when one that waits is over; or None."""
        if self._calls.room("call"):
            return self._store.next_due("call")
        limit = self._store.next_limit()
        return None if limit is None else limit + 1

    def _next_undo(self) -> int | None:
        return self._store.next_due("undo") if self._calls.room("undo") else None

    # Transact

    def _transact(self) -> tuple[int, Sequence[Call]]:
        """Process the items of one turn in one transaction; return their number, and the calls to start."""
        if not self._partitions.live:
            self._partitions.go_live(self._participant.name)
        finished = self._take_results() if self._has_calls else ()
        extended = self._calls.extended() if self._has_calls else ()
        is_due = self._is_due()
        if not (self._backlog or self._acknowledged or self._refused or is_due or finished or extended):
            return 0, ()
        deadline = self._clock.monotonic() + self._options.turn_seconds
        begun: list[Call] = []
        with self._store.turn():
            if self._acknowledged:
                self._store.acknowledge(self._acknowledged)
            for refusal in self._refused:
                self._processor.refuse(refusal)
            done = self._do_records(deadline) + len(finished)
            for each in finished:
                self._processor.end_call(each)
            for call in extended:
                self._processor.extend_call(call)
            if is_due:
                done += self._do_due(max(self._options.turn_items - done, 1), deadline, begun)
            self._next_due = self._look_ahead()
        self._acknowledged.clear()
        self._refused.clear()
        return done, begun

    def _take_results(self) -> Sequence[Finished]:
        """Take the results of calls, none before the worker has caught up with the log (R4)."""
        if not (self._partitions.live and self._calls.have_finished):
            return ()
        finished = self._calls.take(self._options.turn_items)
        self._next_due = self._look_ahead()  # other calls may begin now
        return finished

    def _is_due(self) -> bool:
        if not self._partitions.live or self._next_due is None:
            return False
        return self._next_due <= self._clock.now()

    def _do_records(self, deadline: float) -> int:
        """Process delivered records until the turn's time is over, and save the positions."""
        done, before = 0, dict(self._partitions.positions)
        while self._backlog and done < self._options.turn_items:
            record = self._backlog.popleft()
            if self._partitions.advance(record):
                self._processor.record(record)
            done += 1
            if self._clock.monotonic() > deadline:
                break
        if done:
            self._partitions.save(before)
        return done

    def _do_due(self, limit: int, deadline: float, begun: list[Call]) -> int:
        """Process due rows of the schedule; append the calls to start to ``begun``."""
        done, now = 0, self._clock.now()
        rows, over = self._store.due(now, limit), 0
        if self._has_calls:
            for call in self._calls.overdue(now):
                self._processor.time_out_call(call)
                self._calls.cut(call, now)
                done += 1
            undo = self._store.due(now, min(limit, self._calls.room("undo")), "undo")
            room = self._calls.room("call")
            waiting = self._store.due(now, min(limit, room), "call") if room else ()
            overdue = () if room else self._store.overdue(now, limit)
            rows, over = [*undo, *rows, *waiting, *overdue], len(overdue)
        for number, row in enumerate(rows):
            call_to_start = self._processor.due(row, has_room=number < len(rows) - over)
            if call_to_start is not None:
                begun.append(call_to_start)
            done += 1
            if self._clock.monotonic() > deadline:
                break
        return done

    # Publish

    def _publish(self) -> None:
        """Publish rows of the outbox."""
        while (room := self._options.in_flight - self._in_flight) > 0:
            limit = min(room, self._options.turn_items)
            rows = self._store.unpublished(self._published, limit)
            if rows:
                self._log.publish(publications(rows))
                self._published = rows[-1].seq
                self._in_flight += len(rows)
            if len(rows) < limit:
                break

    def _look_around(self) -> None:
        """Once a second, commit positions for lag monitors; look at the topics, and at the room of calls."""
        now = self._clock.monotonic()
        if now - self._looked < 1:
            return
        self._looked = now
        self._log.commit(self._partitions.positions)
        self._topics.look()
        if self._has_calls:
            if self._calls.release(self._clock.now()):
                self._next_due = self._look_ahead()  # others may begin now
            self._room.look()

    def _drain(self) -> None:
        """Let the calls under way end, for a while, at a graceful stop; none begins meanwhile."""
        self._calls.is_open = False
        until = self._clock.monotonic() + self._options.drain_seconds
        while self._calls.out and self._clock.monotonic() < until:
            self.turn()

    def _finish(self) -> None:
        """Wait for acknowledgements, at a graceful stop."""
        self._acknowledged.extend(self._log.flush(self._options.flush_seconds))
        with self._store.turn():
            self._store.acknowledge(self._acknowledged)
        self._log.commit(self._partitions.positions)

    # Rebalances

    def _assigned(self, assignments: Sequence[Assignment]) -> list[int]:
        positions = self._partitions.assign(assignments)
        self._topics.joined()
        self._processor.instances.clear()
        return positions

    def _revoked(self, partitions: Sequence[Partition]) -> None:
        self._partitions.revoke(partitions)
        self._processor.instances.clear()
