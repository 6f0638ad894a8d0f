"""The runtime: takes records, due work and results of calls, and runs the handlers that they call for."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any, cast

from choreo import cloudevents, telemetry
from choreo.envelope import Envelope
from choreo.errors import HeadersError
from choreo.outcome import PIVOT
from choreo.participant import Context, Handler, NoDatabase, Participant
from choreo.ports import Clock, Codec, Store
from choreo.protocol import Begin, Due, Expire, Instance, Observed, Queue, Run, fold
from choreo.records import DeadLetter, Partition, Record, Scheduled
from choreo.retry import Retry
from choreo.worker.attempt import Attempt, attempt, outcome, prepare
from choreo.worker.binding import Binding
from choreo.worker.calls import Call, Finished, Limit
from choreo.worker.dead_letters import DISCARD, REQUEUE, UNKNOWN_HANDLER, unknown_handler, unreadable_record
from choreo.worker.folding import Folding
from choreo.worker.handlers import Handlers
from choreo.worker.imports import IMPORT, Imports
from choreo.worker.instances import Instances, history_of
from choreo.worker.item import Item, TriggerEvent
from choreo.worker.results import Letters, Results
from choreo.worker.schedule import Schedule, in_time_until

log = logging.getLogger("choreo.worker")


class Runtime:
    """Does the work of one participant, queued by queued; every call happens inside a turn of the store.

    ``live`` is False while the worker catches up: what is due is then only put on the schedule, and
    done once all that the log holds has been folded (rule R4). ``begun`` are the calls that may start
    once the turn is committed. ``schema_retry`` says how long a body of an unknown schema waits for that
    schema.
    """

    def __init__(
        self,
        participant: Participant,
        store: Store,
        codec: Codec,
        clock: Clock,
        *,
        sagas_in_memory: int,
        schema_retry: Retry,
    ) -> None:
        self.begun: list[Call] = []
        self.acts_from: Mapping[Partition, int] = {}
        self.joined_at: Mapping[Partition, int] = {}
        self._store = store
        self._codec = codec
        self._clock = clock
        self._is_traced = telemetry.is_on()
        self._handlers = Handlers(participant)
        self._roles = participant.roles()
        self._topics = {saga.topic: saga.name for saga in participant.sagas}
        self._topic_of = {saga.name: saga.topic for saga in participant.sagas}
        self._schedule = Schedule(store, self._handlers)
        self._folding = Folding(
            participant, store, codec, clock, self._handlers, self._schedule, sagas_in_memory
        )
        self._imports = Imports(participant, self._roles, store, codec, clock)
        self._letters = Letters(self._folding, self._schedule, store, clock)
        self._results = Results(self._folding, self._schedule, clock, schema_retry)

    @property
    def live(self) -> bool:
        """Whether all that the log held at the assignment has been folded."""
        return self._folding.live

    @live.setter
    def live(self, live: bool) -> None:
        self._folding.live = live

    @property
    def sagas(self) -> Instances:
        """The sagas that are in memory."""
        return self._folding.sagas

    def fold_record(self, record: Record) -> None:
        """Fold one record of a topic, and do what it calls for; an unreadable one is a dead letter."""
        if self._imports.knows(record.topic):
            if not self._is_before_us(record):
                self._imports.take(record)
            return
        try:
            envelope = cloudevents.read(record)
            self._refuse_stranger(record, envelope)
        except HeadersError as error:
            self._store.add_dead_letter(
                unreadable_record(record, "unreadable-headers", str(error), self._clock.now())
            )
            log.error(
                "dead letter: unreadable headers at %s[%d]@%d", record.topic, record.partition, record.offset
            )
            return
        item = Item(
            self._roles[envelope.saga_type],
            record.topic,
            envelope.saga_id,
            TriggerEvent.taken(envelope, record),
        )
        self._folding.tell(item, envelope)
        self._work_off()

    def run_due(self, row: Scheduled) -> None:
        """Do what the schedule says is due, if the saga's state of today still asks for it."""
        self._store.unschedule(row.saga_id, row.task, row.name)
        if row.task in (REQUEUE, DISCARD):
            self._settle(row)
            return
        if row.saga_type not in self._roles or not self._handlers.knows(row.name):
            self._bury_unknown(row)
            return
        self._do(row)
        self._work_off()

    def _settle(self, row: Scheduled) -> None:
        letter = self._store.dead_letter(int(row.name))
        if letter is None:  # taken out of the database by hand
            return
        if letter.task == IMPORT:
            if row.task == REQUEUE:
                self._imports.take_again(letter)
            return
        if letter.saga_type not in self._roles or not self._handlers.knows(letter.name):
            if row.task == REQUEUE or letter.task in ("action", "compensation"):
                self._letters.reopen(letter, UNKNOWN_HANDLER, f"the service has no {letter.name}")
            return
        self._letters.settle(self._remembered(letter), letter, row.task)
        while (
            self._folding.todo
        ):  # its saga may have moved on: whether it still runs is decided when it is due
            item, queued = self._folding.todo.pop()
            self._schedule.put(item, queued.task, queued.name, self._clock.now())

    def _do(self, row: Scheduled) -> None:
        item = self._remembered(row)
        saga = self.sagas.get(item.role, row.saga_id)
        if row.task == "observer":
            if saga.observers.get(row.name, ("",))[0] == row.event_id:
                self._observe(item, row.name, row.attempt)
        elif row.task == "deadline":
            if Expire(row.name) in fold(item.role, saga, Due(row.name))[1]:
                self._attempt(item, self._handlers.named(row.name), row.attempt)
        elif row.task == "answer":
            self._folding.answer(item, row.name)
        else:
            self._run_step(item, saga, row)

    def _run_step(self, item: Item, saga: Instance, row: Scheduled) -> None:
        told = Begin(row.name, self._is_joining(item.trigger))
        decisions = fold(item.role, saga, told)[1]
        if Run(row.task, row.name) not in decisions:  # type: ignore[arg-type]
            if decisions:
                self._folding.tell(item, told)
            return
        handler = self._handlers.of_step(row.task, row.name, saga)
        if not handler.is_outside:
            # Begun and ended in one transaction: only the end is a row.
            self._attempt(item, handler, row.attempt)
        elif row.lane == "turn":  # an earlier release of the service ran it inside
            self._schedule.put(item, row.task, row.name, row.due, row.attempt)
        else:
            self._begin(item, handler, told, row)

    def _begin(self, item: Item, handler: Handler, told: Begin, row: Scheduled) -> None:
        """Note that a call is out; it may start once that is committed."""
        now = self._clock.now()
        saga = self.sagas.get(item.role, item.saga_id)
        is_running = saga.step(handler.step).activity == "running"
        until = _limit(item, handler, row)
        if until is not None and now > until and not (is_running and handler.kind == PIVOT):
            self._results.time_out(item, handler)
            return
        # A pivot's time is over when it begins: nothing cuts it.
        limit = Limit(None if handler.kind == PIVOT else until, self._clock)
        context = Context(
            item.saga_id,
            handler.step,
            handler.task,
            cast(Any, NoDatabase(handler.name)),
            max(row.attempt, 0) + 1,
            now,
            limit.extend,
        )
        arguments = prepare(
            handler, Binding(self._store, self._codec, item.saga_id, saga, item.trigger), context
        )
        if isinstance(arguments, Attempt):
            self._results.take(item, handler, arguments, row.attempt)
            return
        if not is_running:  # else it was out when the last process of the service ended
            self._folding.tell(item, told)
        row = row._replace(lane="out")
        self._store.schedule((row,))
        self.begun.append(Call(item, handler, context, arguments, row, limit, self._is_traced))

    def extend_call(self, call: Call) -> None:
        """Give a call the time that it has asked for."""
        if self._is_running(call.item, call.handler):
            call.limit.until = call.limit.asked
            self._store.schedule((call.row._replace(until=call.limit.until),))

    def end_call(self, finished: Finished) -> None:
        """Take the result of a call."""
        call = finished.call
        handler = call.handler
        item = _traced(call.item, finished.traceparent)
        if not self._is_running(item, handler):
            return
        self._store.unschedule(item.saga_id, handler.task, handler.step)
        result = outcome(self._codec, handler, call.context, finished.result, finished.error)
        self._results.take(item, handler, result, call.row.attempt)
        self._work_off()

    def time_out_call(self, call: Call) -> None:
        """End a step whose call has lasted too long."""
        if self._is_running(call.item, call.handler):
            self._store.unschedule(call.item.saga_id, call.handler.task, call.handler.step)
            self._results.time_out(call.item, call.handler)
            self._work_off()

    def _is_running(self, item: Item, handler: Handler) -> bool:
        saga = self.sagas.get(item.role, item.saga_id)
        return saga.step(handler.step).activity == "running"

    def _work_off(self) -> None:
        """Do what has been queued, and what that queues, before anything else."""
        todo = self._folding.todo
        while todo:
            self._queue(*todo.pop())

    def _queue(self, item: Item, queued: Queue) -> None:
        saga = self.sagas.get(item.role, item.saga_id)
        if queued.task == "observer" and saga.observers[queued.name][0] != item.trigger.envelope.id:
            # One that has waited has a turn of its own: a long queue of them must not make this one long.
            waiting = saga.observers[queued.name][0]
            item = self._remembered(
                Scheduled(item.saga_id, item.saga_type, queued.task, queued.name, waiting, 0)
            )
            self._schedule.put(item, queued.task, queued.name, self._clock.now())
            return
        if queued.task == "action" and self._is_before_us(item.trigger):
            return
        if not self.live or self._handlers.is_outside(queued.task, queued.name):
            self._schedule.put(item, queued.task, queued.name, self._clock.now())
        elif queued.task == "observer":
            self._observe(item, queued.name, 0)
        else:
            self._attempt(item, self._handlers.of_step(queued.task, queued.name, saga), 0)

    def _observe(self, item: Item, name: str, tried: int) -> None:
        if self._is_before_us(item.trigger):
            self._folding.tell(item, Observed(name))
        else:
            self._attempt(item, self._handlers.named(name), tried)

    def _attempt(self, item: Item, handler: Handler, tried: int) -> None:
        """Run a handler once; ``tried`` as in `Results.take`."""
        now = self._clock.now()
        until = _limit(item, handler)
        if until is not None and now > until:
            self._results.time_out(item, handler)
            return
        saga = self.sagas.get(item.role, item.saga_id)
        context = Context(item.saga_id, handler.step, handler.task, self._store.db, max(tried, 0) + 1, now)
        binding = Binding(self._store, self._codec, item.saga_id, saga, item.trigger)
        span = telemetry.UNTRACED
        if self._is_traced:
            traceparent = item.trigger.envelope.traceparent
            span = telemetry.handling(handler.name, item.saga_id, handler.step, traceparent)
        with span:
            result = attempt(self._store, self._codec, handler, binding, context)
            self._results.take(item, handler, result._replace(at=now), tried)

    def _refuse_stranger(self, record: Record, envelope: Envelope) -> None:
        expected = self._topics.get(record.topic)
        if envelope.saga_type != expected:
            raise HeadersError(f"ce_sagatype is not that of the topic, {expected!r}")

    def _bury_unknown(self, row: Scheduled) -> None:
        """Keep what an earlier release of the service scheduled, for a handler that is gone."""
        number = self._store.add_dead_letter(unknown_handler(row, self._clock.now()))
        log.error(
            "dead letter %d: saga_id=%s step=%s %s: unknown-handler", number, row.saga_id, row.name, row.task
        )

    def _remembered(self, what: Scheduled | DeadLetter) -> Item:
        """Give the case of an event that stands in the saga log, as its handler is to see it."""
        entries = history_of(self._store, what.saga_type, what.saga_id)
        entry = next(each for each in entries if each.event_id == what.event_id and each.input == "event")
        edited = self._store.edited(what.saga_id, what.task, what.name, what.event_id)
        trigger = TriggerEvent.remembered(entry if edited is None else entry._replace(payload=edited))
        return Item(self._roles[what.saga_type], self._topic_of[what.saga_type], what.saga_id, trigger)

    def _is_before_us(self, where: TriggerEvent | Record) -> bool:
        return where.offset < self.acts_from.get(Partition(where.topic, where.partition), 0)

    def _is_joining(self, trigger: TriggerEvent) -> bool:
        return trigger.offset < self.joined_at.get(Partition(trigger.topic, trigger.partition), 0)


def _limit(item: Item, handler: Handler, row: Scheduled | None = None) -> int | None:
    """Give the time until which a step may last; a call that was out may have asked for more."""
    if handler.timeout is None:
        return None
    return max(in_time_until(handler.timeout, item.trigger), row.until if row else 0)


def _traced(item: Item, traceparent: str) -> Item:
    """Give the case as caused by the call's own span, so that what it publishes is that span's child."""
    if not traceparent:
        return item
    envelope = item.trigger.envelope._replace(traceparent=traceparent)
    return item._replace(trigger=item.trigger._replace(envelope=envelope))
