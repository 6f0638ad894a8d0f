"""``Worker``: the loop of a participant, which takes, transacts and publishes; a crash undoes one turn."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import islice, takewhile
from typing import Any

from choreo.errors import ChoreoError, Fenced, StoreError, StoreUnavailable
from choreo.participant import Participant
from choreo.ports import Assignment, Clock, Codec, Log, Refusal, Store
from choreo.records import Lane, Partition, Record, Scheduled
from choreo.retry import Retry
from choreo.worker.calls import Call, Calls, Finished, Runner
from choreo.worker.clocks import Clocks
from choreo.worker.failure import detail_of, is_of_an_item
from choreo.worker.lifespan import Lifespan
from choreo.worker.outbox import publications
from choreo.worker.partitions import From, Partitions
from choreo.worker.patience import Patience
from choreo.worker.processor import Processor
from choreo.worker.quiet import Quiet
from choreo.worker.room import Room
from choreo.worker.threads import Threads
from choreo.worker.topics import Topics

log = logging.getLogger("choreo.worker")

_CALL_SECONDS = 0.005
"""The longest wait for the log while calls are under way, which delays the commit of their results."""

_STALLED = 5.0
"""Seconds without a turn after which the age of a record says nothing about the clocks."""

_OTHERS_SECONDS = 5.0
"""How long after another's write there are thought to be other writers."""

_MOMENT_SECONDS = 0.002
"""The moment that other writers get after a full turn."""


@dataclass
class _Work:
    """What became of the due rows of one turn: calls to start, calls to cut, and a row that runs alone."""

    done: int = 0
    begun: list[Call] = field(default_factory=list)
    overdue: list[Call] = field(default_factory=list)
    alone: Scheduled | None = None


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
    ``redact`` keeps the texts of exceptions out of the store.

    After a process that ended without a stop, or a turn that was lost, a worker is careful for a while: each
    handler runs in a turn of its own, so that the one that is to blame is known. It is trusted again after
    ``trust_seconds``.
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
    redact: bool = False
    trust_seconds: float = 60.0
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
        self._topics = Topics(participant, store, records, clock)
        self._partitions = Partitions(store, records, options.start, self._topics)
        self._clocks = Clocks(participant.name, clock, self._topics.is_stamped_by_broker)
        self._processor = Processor(
            participant,
            store,
            codec,
            clock,
            self._partitions,
            self._clocks,
            sagas_in_memory=options.sagas_in_memory,
            schema_retry=options.schema_retry,
            redact=options.redact,
        )
        self._calls = Calls(options.calls, runner or Threads())
        self._lifespan = Lifespan(participant, redact=options.redact) if participant.opens else None
        self._room = Room(participant.name, self._calls, store, clock)
        self._has_calls = any(handler.is_outside for handler in participant.handlers)
        self._early: list[Finished] = []
        self._have_held = False
        self._has_suspects = False
        self._backlog: deque[Record] = deque()
        self._acknowledged: list[int] = []
        self._refused: list[Refusal] = []
        self._published = 0
        self._in_flight = 0
        self._next_due: int | None = None
        self._looked = 0.0
        self._patience = Patience(participant.name, clock, self._stopping)
        self._quiet = Quiet(clock)
        self._begun: list[Call] = []
        self._alone: Scheduled | None = None
        self._unsure: _Work | None = None
        self._others_wrote = -_OTHERS_SECONDS
        self._is_stale = False
        self._finished: list[Finished] = []
        self._careful = 0
        self._deaths = 0
        self._began = 0.0

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
        if self._backlog or self._finished or self._calls.have_finished or self._calls.extended():
            return self._clock.now()
        if self._quiet.is_awaited:
            return self._clock.now() + (0 if self._is_idle else round(self._options.idle_seconds * 1000) + 1)
        return self._next_due

    @property
    def calls(self) -> Calls:
        """The handlers that run outside of the transaction."""
        return self._calls

    def start(self) -> bool:
        """Enter the lifespan, check that store and cluster belong together, and begin to consume.

        Return whether it began: not where `stop` was called while the lifespan was entered. Raises
        `LifespanError` where that fails, `StoreMismatch` when store and cluster don't belong together,
        `LogError` when the cluster can't be reached.
        """
        cluster = self._log.cluster_id()
        if not self._enter():
            return False
        self._patience.until_done(lambda: self._claim(cluster))
        self._has_suspects = self._store.next_due("doubt") is not None  # only a claim makes suspects
        self._topics.start()  # before anything is published, which a topic made anew would take
        if self._deaths:  # each time for longer, until the item is found in which the process ends
            self._be_careful(self._options.turn_items * 2 ** min(self._deaths - 1, 10))
        self._began = self._clock.monotonic()
        self._log.claim(self._store.store_id, not self._store.positions())
        self._refuse_if_replaced()  # else, of two that start at once, both would end
        self._log.subscribe(self._participant.topics, self._assigned, self._revoked)
        # Handlers that an earlier release ran outside of the transaction may now run inside.
        lanes: tuple[Lane, ...] = ("call", "undo", "doubt")
        self._has_calls = self._has_calls or any(self._store.next_due(lane) is not None for lane in lanes)
        self._next_due = self._look_ahead()
        self._store.changed()
        self._publish()
        return True

    def _enter(self) -> bool:
        """Enter the lifespan, if there is one, before anything is claimed; whether that was not cut short."""
        if self._lifespan is None:
            return True
        if not self._calls.enter(self._lifespan, self._stopping):
            return False
        self._processor.shared = self._lifespan.entered.result()
        return True

    def _claim(self, cluster: str) -> None:
        """Claim the store, and what the last worker left in it."""
        with self._store.turn():
            self._store.bind(cluster, self._participant.name)
            self._deaths = self._store.claim()  # before the calls of the last worker are recalled
            if self._participant.prepare:
                self._participant.prepare(self._store.db)
            self._store.recall()
            self._processor.take_up_versions()

    def run(self) -> None:
        """Loop until `stop`; then finish the turn, wait for acknowledgements, and leave the group."""
        try:
            if self.start():
                while not self._stopping.is_set():
                    self.turn()
                self._drain()
                self._finish()
        except Exception as error:
            if not is_of_an_item(error):
                self._let_go()
            raise
        finally:
            self._calls.stop(self._options.flush_seconds)
            self._log.close()

    def stop(self) -> None:
        """End the loop after the current turn."""
        self._stopping.set()

    def turn(self) -> int:
        """Run one turn: take, transact, publish. Return the number of processed items.

        While the store is locked, full or failing, nothing is processed, and what was taken is kept.
        """
        try:
            done = self._go_round()
        except StoreUnavailable as error:
            self._start_calls()
            self._next_due = self._clock.now()
            self._patience.wait(error)
            return 0
        self._patience.end()
        return done

    def _go_round(self) -> int:
        began = self._clock.monotonic()
        self._take()
        self._settle_unsure()
        if self._alone is not None:
            self._do_alone(self._alone)
        done = self._transact_carefully() if self._careful else self._transact()
        if self._begun:
            self._start_calls()
            self._next_due = self._look_ahead()  # the started calls have time limits
        self._publish()
        if not done:
            self._store.check_files()
        self._look_around()
        if self._quiet.is_awaited:
            self._listen(done)
        if self._clock.monotonic() - began > self._options.turn_seconds:
            self._give_way()
        return done

    def _listen(self, done: int) -> None:
        """Note whether this turn was idle, as rows wait for quiet."""
        self._quiet.note(is_live=self._partitions.any_live, is_idle=self._is_idle and not done)
        self._next_due = self._look_ahead()

    @property
    def _is_idle(self) -> bool:
        """Whether all partitions are read, and nothing is under way."""
        return self._partitions.complete and not (self._backlog or self._in_flight or self._calls.out)

    def _start_calls(self) -> None:
        """Start the calls of which the beginning is committed."""
        while self._begun:
            self._calls.start(self._begun.pop(0))

    def _give_way(self) -> None:
        """After a full turn, let other writers come in, who have no queue, for as long as a turn at most."""
        if self._clock.monotonic() - self._others_wrote > _OTHERS_SECONDS:
            return
        until = self._clock.monotonic() + self._options.turn_seconds
        while self._clock.monotonic() < until:
            self._stopping.wait(_MOMENT_SECONDS)
            if not self._has_changed():
                break

    def _has_changed(self) -> bool:
        """Whether another process, or thread, has written to the store since the last look."""
        if not self._store.changed():
            return False
        self._others_wrote = self._clock.monotonic()
        self._is_stale = True
        return True

    # Take

    def _take(self) -> None:
        """Take the delivered records and the acknowledgements from the log."""
        if self._has_changed() or self._is_stale:
            self._next_due = self._look_ahead()
            self._is_stale = False
        if self._backlog:
            wait, limit = 0.0, 1
        else:
            wait, limit = self._wait(), self._options.turn_items
        taken = self._log.take(limit, wait)
        self._backlog.extend(taken.records)
        self._acknowledged.extend(taken.acknowledged)
        self._refused.extend(taken.refused)
        self._in_flight -= len(taken.acknowledged) + len(taken.refused)
        if taken.ended:
            self._partitions.end_at(taken.ended)
        if taken.records and self._partitions.live and self._clock.monotonic() - self._looked < _STALLED:
            self._clocks.look(taken.records)

    def _wait(self) -> float:
        """Return how many seconds to wait for the log."""
        longest = self._options.idle_seconds
        if not self._partitions.complete:  # work that is due may have to wait for the log
            return longest
        if self._has_calls:
            if self._finished or self._calls.have_finished:
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
        times = (due, self._calls.next_limit, self._next_call(), self._next_undo(), self._next_doubtful())
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

    def _transact(self) -> int:
        """Process the items of one turn in one transaction; return their number."""
        finished, extended, is_due = self._look()
        if not (self._backlog or self._acknowledged or self._refused or is_due or finished or extended):
            return 0
        deadline = self._clock.monotonic() + self._options.turn_seconds
        before = dict(self._partitions.positions)
        taken: list[Record] = []
        work = _Work()
        try:
            with self._store.turn():
                self._take_answers()
                done = self._do_records(deadline, taken, self._options.turn_items) + len(finished)
                for each in finished:
                    self._processor.end_call(each)
                for call in extended:
                    self._processor.extend_call(call)
                if is_due:
                    done += self._do_due(max(self._options.turn_items - done, 1), deadline, work)
                self._next_due = self._look_ahead()
        except Exception as error:
            self._undo(before, taken)
            if not is_of_an_item(error):
                self._unsure = work
                raise
            self._be_careful(len(taken) + len(finished) + work.done + 1)
            log.warning("a turn was lost, its items are done one by one: %s", detail_of(error, redact=True))
            return 1
        self._begun += work.begun
        self._alone = work.alone
        self._committed_all(work)
        if self._alone is not None:
            self._do_alone(self._alone)
        return done

    def _look(self) -> tuple[Sequence[Finished], Sequence[Call], bool]:
        """Return the results and the extensions of calls, and whether something is due."""
        self._catch_up()
        finished = self._take_results() if self._has_calls else ()
        extended = self._calls.extended() if self._has_calls else ()
        return finished, extended, self._is_due()

    def _committed_all(self, work: _Work) -> None:
        """Do what must wait for the commit of a turn."""
        self._acknowledged.clear()
        self._refused.clear()
        self._finished.clear()
        if work.overdue:
            for call in work.overdue:
                self._calls.cut(call, self._clock.now())
            self._next_due = self._look_ahead()

    def _take_answers(self) -> None:
        """Take in what the log has acknowledged, and what it has refused."""
        self._store.acknowledge(self._acknowledged)
        for refusal in self._refused:
            self._processor.refuse(refusal)

    def _undo(self, before: Mapping[Partition, int], taken: Sequence[Record]) -> None:
        """Go back to the beginning of a turn that was rolled back."""
        self._partitions.undo({each: at for each, at in before.items() if each in self._partitions.positions})
        self._backlog.extendleft(reversed(taken))
        self._processor.instances.clear()
        self._next_due = self._clock.now()

    def _settle_unsure(self) -> None:
        """Find out what was committed although the store failed, as a disk may do."""
        work = self._unsure
        if work is None:
            return
        known = self._store.positions()
        self._partitions.undo({each: known.get(each, at) for each, at in self._partitions.positions.items()})
        self._begun += [call for call in work.begun if self._is_out(call.row)]
        if work.alone is not None and self._is_out(work.alone):
            self._alone = work.alone
        self._unsure = None

    def _is_out(self, row: Scheduled) -> bool:
        rows = self._store.scheduled(row.saga_id, row.saga_type)
        return any(each.lane == "out" and (each.task, each.name) == (row.task, row.name) for each in rows)

    def _catch_up(self) -> None:
        """Move positions to the ends that are reached, and let partitions go live."""
        if self._partitions.have_ended and not self._backlog:
            self._move_to_ends()
        if not self._partitions.live and self._partitions.go_live(self._participant.name):
            self._go_on_with_held()

    def _move_to_ends(self) -> None:
        """Move positions to the ends of partitions whose last offsets hold no records."""
        before = dict(self._partitions.positions)
        self._partitions.move_to_ends()
        if before != self._partitions.positions:
            try:
                with self._store.turn():
                    self._partitions.save(before)
            except BaseException:
                self._partitions.undo(before)
                raise

    def _go_on_with_held(self) -> None:
        """Let the due work go on that was held for a partition which is live now."""
        if self._have_held:
            with self._store.turn():
                self._store.let_go()
            self._have_held = False
            self._next_due = self._look_ahead()

    def _take_results(self) -> Sequence[Finished]:
        """Take the results of calls, none before its saga's partition is live (R4)."""
        if not (self._partitions.any_live and (self._finished or self._early or self._calls.have_finished)):
            return ()
        self._finished += [*self._early, *self._calls.take(self._options.turn_items)]
        self._early.clear()
        if not self._partitions.complete:
            self._early = [each for each in self._finished if not self._acts_on(each.call)]
            self._finished = [each for each in self._finished if self._acts_on(each.call)]
        self._next_due = self._look_ahead()  # other calls may begin now
        return self._finished

    def _acts_on(self, call: Call) -> bool:
        trigger = call.item.trigger
        return self._partitions.acts_on(trigger.topic, trigger.partition)

    def _is_due(self) -> bool:
        if not self._partitions.any_live or self._next_due is None:
            return False
        return self._next_due <= self._clock.now()

    def _do_records(self, deadline: float, taken: list[Record], limit: int) -> int:
        """Process delivered records until the turn's time is over, and save the positions."""
        before = dict(self._partitions.positions)
        while self._backlog and len(taken) < limit:
            record = self._backlog.popleft()
            taken.append(record)
            if self._partitions.advance(record):
                self._processor.record(record)
            if self._clock.monotonic() > deadline:
                break
        if taken:
            self._partitions.save(before)
        return len(taken)

    def _do_due(self, limit: int, deadline: float, work: _Work) -> int:
        """Process due rows of the schedule."""
        now = self._clock.now()
        rows, over = self._due_rows(now, limit, work) if self._has_calls else (self._store.due(now, limit), 0)
        for number, row in enumerate(rows):
            if not self._partitions.complete and self._holds(row):
                continue
            work.done += 1
            if row.deaths > 1:
                self._quiet.start_anew()
            if self._processor.runs_alone(row):
                if work.alone is None:
                    self._processor.mark(row)
                    work.alone = row
                continue
            call_to_start = self._processor.due(row, has_room=number < len(rows) - over)
            if call_to_start is not None:
                work.begun.append(call_to_start)
            if self._clock.monotonic() > deadline:
                break
        return work.done

    def _due_rows(self, now: int, limit: int, work: _Work) -> tuple[Sequence[Scheduled], int]:
        """End the calls whose time is over; return the due rows, and the number of those without room."""
        for call in filter(self._acts_on, self._calls.overdue(now)):
            self._processor.time_out_call(call)
            work.overdue.append(call)
            work.done += 1
        rows = self._store.due(now, limit)
        undo = self._store.due(now, min(limit, self._calls.room("undo")), "undo")
        room = self._calls.room("call")
        waiting = self._store.due(now, min(limit, room), "call") if room else ()
        overdue = () if room else self._store.overdue(now, limit)
        return [*undo, *rows, *waiting, *self._doubtful(now), *overdue], len(overdue)

    def _next_doubtful(self) -> int | None:
        rows = self._doubtful(self._clock.now())
        return rows[0].due if rows else None

    def _doubtful(self, now: int) -> Sequence[Scheduled]:
        """Return the next row that was under way at an end of the process, once it may run.

        After several ends one at a time runs; while the worker is careful, beside no other call, which would
        be suspected too.
        """
        rows = self._store.due(now, 1, "doubt") if self._has_suspects else ()
        if not rows:
            self._quiet.end()
        elif self._quiet.allows(rows[0].deaths) and self._has_place(rows[0]):
            return rows
        return ()

    def _is_blocked(self) -> bool:
        """Whether a row that was under way at several ends of the process waits for the calls under way."""
        if not (self._has_suspects and self._calls.out) or self._calls.has_doubtful:
            return False
        return any(row.deaths > 1 for row in self._store.due(self._clock.now(), 1, "doubt"))

    def _has_place(self, row: Scheduled) -> bool:
        if row.deaths > 1:
            return self._calls.is_open and not (
                self._calls.has_doubtful or (self._careful and self._calls.out)
            )
        return self._calls.room("undo" if row.task == "compensation" else "call") > 0

    # Transact carefully: each handler in a turn of its own

    def _be_careful(self, items: int) -> None:
        self._careful = max(self._careful, items)
        self._partitions.postpones = True

    def _transact_carefully(self) -> int:
        """Fold the records, and process everything else item by item; bury the item that fails alone."""
        finished, extended, _ = self._look()
        if self._acknowledged or self._refused:
            with self._store.turn():
                self._take_answers()
            self._acknowledged.clear()
            self._refused.clear()
        done = self._do_results_alone(finished) + self._do_records_alone()
        for call in extended:
            self._one(lambda _, call=call: self._processor.extend_call(call))  # type: ignore[misc]
        if self._partitions.any_live:
            done += self._do_next_alone()
        if self._careful <= 0:
            self._stop_being_careful()
        self._next_due = self._look_ahead()
        return done

    def _do_results_alone(self, finished: Sequence[Finished]) -> int:
        done = len(finished)
        for each in list(finished):
            self._one(
                lambda _, each=each: self._processor.end_call(each),  # type: ignore[misc]
                lambda error, each=each: self._processor.end_call(each._replace(result=None, error=error)),  # type: ignore[misc]
                lambda error, each=each: self._processor.bury(each.call.row, error),  # type: ignore[misc]
            )
        self._finished.clear()
        return done

    def _do_records_alone(self) -> int:
        """Fold delivered records together, or the first of them where that fails; import them one by one."""
        if not self._backlog:
            return 0
        records = islice(self._backlog, self._options.turn_items)
        limit = sum(1 for _ in takewhile(lambda each: not self._processor.is_import(each), records))
        if not limit:
            record = self._backlog[0]
            if self._one(lambda _: self._processor.mark_import(record)):
                self._has_calls = self._has_suspects = True
            self._careful -= 1
            return self._do_record_alone(record)
        deadline = self._clock.monotonic() + self._options.turn_seconds
        before = dict(self._partitions.positions)
        taken: list[Record] = []
        try:
            with self._store.turn():
                return self._do_records(deadline, taken, limit)
        except Exception as error:
            self._undo(before, taken)
            if not is_of_an_item(error):
                self._unsure = _Work()
                raise
        return self._do_record_alone(self._backlog[0])

    def _do_record_alone(self, record: Record) -> int:
        self._one(
            lambda _: self._advance(record, self._processor.record),
            lambda error: self._advance(record, lambda each: self._processor.bury_record(each, error)),
        )
        self._backlog.popleft()
        return 1

    def _advance(self, record: Record, fold: Callable[[Record], None]) -> None:
        before = dict(self._partitions.positions)
        if self._partitions.advance(record):
            fold(record)
        self._partitions.save(before)

    def _do_next_alone(self) -> int:
        """Process the next due row, or all calls whose time is over."""
        now = self._clock.now()
        overdue = [*filter(self._acts_on, self._calls.overdue(now))] if self._has_calls else []
        for call in overdue:
            self._one(
                lambda _, call=call: self._processor.time_out_call(call),  # type: ignore[misc]
                lambda error, call=call: self._processor.bury(call.row, error),  # type: ignore[misc]
            )
            self._calls.cut(call, now)
        row = next(iter(self._due_alone(now)), None)
        if row is None:
            is_in_doubt = self._quiet.is_awaited or self._is_blocked()
            # What is held for a partition that isn't live yet may be what ended the process.
            if self._partitions.complete and not (overdue or self._backlog or is_in_doubt):
                self._stop_being_careful()
            return len(overdue)
        if not self._partitions.complete and self._one(lambda _: self._holds(row)):
            return len(overdue) + 1
        self._careful -= 1
        if row.deaths > 1:
            self._quiet.start_anew()
        self._do_alone(row, is_marked=False)
        return len(overdue) + 1

    def _due_alone(self, now: int) -> Sequence[Scheduled]:
        """Return the next row of each lane, that last during which the process has ended."""
        rows = [*self._store.due(now, 1)]
        if self._has_calls:
            lanes: tuple[Lane, ...] = ("undo", "call")
            rows += [row for lane in lanes if self._calls.room(lane) for row in self._store.due(now, 1, lane)]
            rows += self._doubtful(now) or (() if self._calls.room("call") else self._store.overdue(now, 1))
        return rows

    def _stop_being_careful(self) -> None:
        self._careful = 0
        self._partitions.postpones = False

    def _do_alone(self, row: Scheduled, *, is_marked: bool = True) -> None:
        """Process one due row in a turn of its own, marked as under way."""
        if not is_marked:
            self._one(lambda _: self._processor.mark(row), lambda error: self._processor.bury(row, error))
        self._alone = row
        started: Call | None = self._one(
            lambda _: self._processor.due(row),
            lambda error: self._processor.fail(row, error),
            lambda error: self._processor.bury(row, error),
        )
        self._alone = None
        if started is not None:
            self._begun.append(started)
        self._next_due = self._look_ahead()

    def _one(self, *ways: Callable[[Any], Any]) -> Any:
        """Do one item in a turn of its own, in the first of several ways that the database accepts.

        Each way takes the error of the one before it.
        """
        failure: Exception | None = None
        for way in ways:
            before = dict(self._partitions.positions)
            try:
                with self._store.turn():
                    return way(failure)
            except Exception as error:
                self._undo(before, ())
                if not is_of_an_item(error):
                    self._unsure = _Work()
                    raise
                failure = error
        assert failure is not None
        raise failure

    def _holds(self, row: Scheduled) -> bool:
        """Hold a due row while the partition of its saga isn't live; whether it was held.

        It leaves its lane, where others behind it would otherwise never come to be due.
        """
        where = self._store.partition_of(row.saga_id, row.saga_type)
        if where is None or self._partitions.acts_on(*where):
            return False
        self._store.hold(row)
        self._have_held = True
        return True

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
        if self._clocks.was_set_back(now):
            with self._store.turn():
                self._processor.pull_in()
            self._next_due = self._look_ahead()
        if now - self._looked < 1:
            return
        self._looked = now
        if self._lifespan is not None:
            self._lifespan.check()
        self._log.commit(self._partitions.positions)
        self._topics.look()
        self._store.trim()
        if self._has_calls:
            if self._calls.release(self._clock.now()):
                self._next_due = self._look_ahead()  # others may begin now
            self._room.look()
        if self._deaths and now - self._began > self._options.trust_seconds:
            self._deaths = 0
            with self._store.turn():
                self._store.trust()

    def _drain(self) -> None:
        """Let the calls under way end, for a while, at a graceful stop; none begins meanwhile."""
        self._calls.is_open = False
        until = self._clock.monotonic() + self._options.drain_seconds
        while self._calls.out and self._clock.monotonic() < until:
            self.turn()

    def _finish(self) -> None:
        """Wait for acknowledgements, at a graceful stop."""
        self._acknowledged.extend(self._log.flush(self._options.flush_seconds))
        try:
            self._patience.until_done(self._release, self._options.flush_seconds)
        except StoreUnavailable as error:
            log.warning("stopped without the store: what was acknowledged is published again: %s", error)
        self._log.commit(self._partitions.positions)

    def _release(self) -> None:
        with self._store.turn():
            self._store.acknowledge(self._acknowledged)
            self._store.release()

    def _let_go(self) -> None:
        """Release the store, as well as that is possible, after an error of the surroundings."""
        with suppress(ChoreoError), self._store.turn():
            self._store.release()

    # Rebalances

    def _assigned(self, assignments: Sequence[Assignment]) -> list[int]:
        positions = self._patience.until_done(lambda: self._partitions.assign(assignments))
        self._topics.joined()
        self._processor.instances.clear()
        return positions

    def _refuse_if_replaced(self) -> None:
        """Raise `Fenced` where another worker has taken the store over, before the group is joined again."""
        try:
            with self._store.turn():
                pass
        except Fenced:
            raise
        except StoreError as error:  # it is locked, say: the next turn waits for it
            log.debug("%s", error)

    def _revoked(self, partitions: Sequence[Partition]) -> None:
        self._refuse_if_replaced()
        self._partitions.revoke(partitions)
        self._processor.instances.clear()
