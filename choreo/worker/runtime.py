"""The runtime: tells the protocol what happened, and carries out what it decides, inside the turn."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Any, Literal

from choreo import telemetry
from choreo.envelope import Envelope, event_id
from choreo.errors import ChoreoError, HeadersError, StoreError, StoreMismatch
from choreo.kafka import cloudevents
from choreo.outcome import COMPENSATED, FAILED, PIVOT, START, SUCCEEDED, TIMED_OUT, Outcome
from choreo.participant import Context, Handler, NoDatabase, Participant
from choreo.participant.answer import build
from choreo.ports import Clock, Codec, Lane, Partition, Record, Scheduled, Store
from choreo.protocol import (
    Answer,
    Arm,
    Begin,
    Buried,
    Bury,
    Decision,
    Deferred,
    Disarm,
    Drop,
    Due,
    Ended,
    Expire,
    Ignored,
    Input,
    Instance,
    Moved,
    Observed,
    Publish,
    Queue,
    Run,
    Unowned,
    fold,
    steps,
)
from choreo.retry import Retry
from choreo.worker.attempt import Attempt, attempt, outcome, prepare
from choreo.worker.binding import Binding
from choreo.worker.bodies import encode
from choreo.worker.calls import Call, Finished
from choreo.worker.case import Case, Cause, dead_letter, unknown_handler, unreadable_record
from choreo.worker.handlers import Handlers
from choreo.worker.outgoing import outbox_row
from choreo.worker.rows import Rows
from choreo.worker.sagas import Sagas, history_of

log = logging.getLogger("choreo.worker")

_NO_RESULT = Attempt("ignored")
_DUPLICATE = Ignored("duplicate")


class Runtime:
    """Folds records and due work of one participant; every call happens inside a turn of the store.

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
        self.live = False
        self.begun: list[Call] = []
        self.acts_from: Mapping[Partition, int] = {}
        self.joined_at: Mapping[Partition, int] = {}
        self.sagas = Sagas(store, sagas_in_memory)
        self._name = participant.name
        self._store = store
        self._codec = codec
        self._clock = clock
        self._schema_retry = schema_retry
        self._is_traced = telemetry.is_on()
        self._handlers = Handlers(participant)
        self._roles = participant.roles()
        self._topics = {saga.topic: saga.name for saga in participant.sagas}
        self._topic_of = {saga.name: saga.topic for saga in participant.sagas}

    def fold_record(self, record: Record) -> None:
        """Fold one record of a topic, and do what it calls for; an unreadable one is a dead letter."""
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
        case = Case(
            self._roles[envelope.saga_type], record.topic, envelope.saga_id, Cause.taken(envelope, record)
        )
        self._tell(case, envelope)

    def run_due(self, row: Scheduled) -> None:
        """Do what the schedule says is due, if the saga's state of today still asks for it."""
        self._store.unschedule(row.saga_id, row.task, row.name)
        if row.saga_type not in self._roles or not self._handlers.knows(row.name):
            self._bury_unknown(row)
            return
        case = self._remembered(row.saga_type, row.saga_id, row.event_id)
        saga = self.sagas.get(case.role, row.saga_id)
        if row.task == "observer":
            if saga.observers.get(row.name, ("",))[0] == row.event_id:
                self._observe(case, row.name, row.attempt)
        elif row.task == "deadline":
            if Expire(row.name) in fold(case.role, saga, Due(row.name))[1]:
                self._attempt(case, self._handlers.named(row.name), row.attempt)
        elif row.task == "answer":
            self._answer_at_last(case, saga, row.name)
        else:
            self._run_step(case, saga, row)

    def _run_step(self, case: Case, saga: Instance, row: Scheduled) -> None:
        told = Begin(row.name, self._is_joining(case.cause))
        decisions = fold(case.role, saga, told)[1]
        if Run(row.task, row.name) not in decisions:  # type: ignore[arg-type]
            if decisions:
                self._tell(case, told)
            return
        handler = self._handlers.of_step(row.task, row.name, saga)
        if not handler.is_outside:
            # Begun and ended in one transaction: only the end is a row.
            self._attempt(case, handler, row.attempt)
        elif row.lane == "turn":  # an earlier release of the service ran it inside
            self._schedule(case, row.task, row.name, row.due, row.attempt)
        else:
            self._begin(case, handler, told, row)

    def _begin(self, case: Case, handler: Handler, told: Begin, row: Scheduled) -> None:
        """Note that a call is out; it may start once that is committed."""
        now = self._clock.now()
        saga = self.sagas.get(case.role, case.saga_id)
        is_running = saga.step(handler.step).activity == "running"
        if self._is_late(case, handler, now) and not (is_running and handler.kind == PIVOT):
            self._time_out(case, handler)
            return
        database: Any = NoDatabase(handler.name)
        context = Context(case.saga_id, handler.step, handler.task, database, max(row.attempt, 0) + 1, now)
        arguments = prepare(
            handler, Binding(self._store, self._codec, case.saga_id, saga, case.cause), context
        )
        if isinstance(arguments, Attempt):
            self._take_result(case, handler, arguments, row.attempt)
            return
        if not is_running:  # else it was out when the last process of the service ended
            self._tell(case, told)
        self._store.schedule((row._replace(lane="out"),))
        until = None
        if handler.timeout is not None and handler.kind != PIVOT:  # a pivot's is over when it begins
            until = _in_time_until(handler.timeout, case.cause)
        self.begun.append(Call(case, handler, context, arguments, row.attempt, until, self._is_traced))

    def end_call(self, finished: Finished) -> None:
        """Take the result of a call."""
        call = finished.call
        handler = call.handler
        case = _traced(call.case, finished.traceparent)
        if not self._is_running(case, handler):
            return
        self._store.unschedule(case.saga_id, handler.task, handler.step)
        result = outcome(self._codec, handler, call.context, finished.result, finished.error)
        self._take_result(case, handler, result, call.tried)

    def time_out_call(self, call: Call) -> None:
        """End a step whose call has lasted too long."""
        if self._is_running(call.case, call.handler):
            self._store.unschedule(call.case.saga_id, call.handler.task, call.handler.step)
            self._time_out(call.case, call.handler)

    def _is_running(self, case: Case, handler: Handler) -> bool:
        saga = self.sagas.get(case.role, case.saga_id)
        return saga.step(handler.step).activity == "running"

    def _is_late(self, case: Case, handler: Handler, now: int) -> bool:
        return handler.timeout is not None and now > _in_time_until(handler.timeout, case.cause)

    def _time_out(self, case: Case, handler: Handler) -> None:
        progress = self.sagas.get(case.role, case.saga_id).step(handler.step)
        begun = progress.activity == "running" or progress.attempt > 0
        how: Literal["raised", "partial"] = "partial" if handler.partial and begun else "raised"
        self._tell(case, Ended(handler.step, FAILED, "", how, "timed out"))

    def _refuse_stranger(self, record: Record, envelope: Envelope) -> None:
        expected = self._topics.get(record.topic)
        if envelope.saga_type != expected:
            raise HeadersError(f"ce_sagatype is not that of the topic, {expected!r}")

    def _tell(self, case: Case, told: Input, emitted: Attempt = _NO_RESULT) -> None:
        """Fold one input: write its rows, publish what it publishes, then do what it queues."""
        before = self.sagas.get(case.role, case.saga_id)
        after, decisions = fold(case.role, before, told)
        if decisions and type(decisions[0]) is Unowned:
            before, after, decisions = self._fold_afresh(case, told)
        if decisions and decisions[0] == _DUPLICATE:
            return
        self.sagas.put(case.role, case.saga_id, after)
        rows = Rows(case, before, after, told, self._clock.now())
        followups: list[Queue | Bury] = []
        for decision in decisions:
            followups += self._carry_out(case, rows, after, decision, emitted)
        self._store.append(rows.entries())
        self._follow_up(case, followups)

    def _follow_up(self, case: Case, followups: Iterable[Queue | Bury]) -> None:
        for followup in followups:
            if isinstance(followup, Bury):
                reason, _, detail = followup.reason.partition(": ")
                self._bury(case, followup.task, followup.name, reason, detail, 0)
            else:
                self._queue(case, followup)

    def _fold_afresh(self, case: Case, told: Input) -> tuple[Instance, Instance, list[Decision]]:
        """Fold an own outcome that we don't remember deciding on what the store says.

        Another process of the service may have started the saga after it came into our memory. Where
        the store knows nothing of it either, it is not the one that published it.
        """
        self.sagas.forget(case.role, case.saga_id)
        before = self.sagas.get(case.role, case.saga_id)
        after, decisions = fold(case.role, before, told)
        if Unowned(case.cause.envelope.step) in decisions:
            raise StoreMismatch(
                f"{case.topic}[{case.cause.partition}]@{case.cause.offset} is an outcome of "
                f"{case.cause.envelope.step} that this store never produced",
                hint="was the database restored from a backup, copied, or is another store in use?",
            )
        return before, after, decisions

    def _carry_out(
        self, case: Case, rows: Rows, saga: Instance, decision: Decision, emitted: Attempt
    ) -> Iterable[Queue | Bury]:
        """Do what belongs to the input's own rows; give back what comes after them."""
        match decision:
            case Moved():
                rows.moved(decision)
            case Publish(step, outcome):
                self._publish(case, rows, step, outcome, emitted.type, emitted.body)
            case Expire(name):
                watched = case.role.deadline[name].of
                self._publish(case, rows, watched, TIMED_OUT, emitted.type, emitted.body)
            case Answer():
                return self._answer_or_wait(case, rows, saga, decision)
            case Queue() | Bury():
                return (decision,)
            case Ignored():
                rows.void()
            case _:
                self._plan(case, decision)
        return ()

    def _answer_or_wait(self, case: Case, rows: Rows, saga: Instance, answer: Answer) -> Iterable[Bury]:
        self._store.unschedule(case.saga_id, "answer", answer.step)
        if self.live:
            return self._answer(case, rows, saga, answer)
        self._schedule(case, "answer", answer.step, self._clock.now(), 0)
        return ()

    def _plan(self, case: Case, decision: Decision) -> None:
        """Put on the schedule, or take off it, what has its time."""
        match decision:
            case Drop(task, name):
                self._store.unschedule(case.saga_id, task, name)
            case Arm(name):
                self._arm(case, self._handlers.named(name))
            case Disarm(name):
                self._store.unschedule(case.saga_id, "deadline", name)

    def _arm(self, case: Case, deadline: Handler) -> None:
        """Put a deadline on the schedule, counted from the record of the event that arms it."""
        due = _in_time_until(deadline.within or timedelta(), case.cause)
        self._schedule(case, "deadline", deadline.name, due, 0)

    def _publish(self, case: Case, rows: Rows, step: str, outcome: str, name: str, body: bytes) -> None:
        action = case.role.action.get(step)
        cause = case.cause.envelope
        envelope = Envelope(
            event_id(case.saga_id, step, outcome, name),
            self._name,
            name,
            self._clock.now(),
            case.saga_id,
            case.saga_type,
            cause.saga_version,
            step,
            outcome,  # type: ignore[arg-type]
            action.kind if action else "compensatable",
            cause.id,
            telemetry.traceparent(cause.traceparent) if self._is_traced else cause.traceparent,
        )
        rows.published(envelope, body)
        self._store.enqueue((outbox_row(envelope, case.topic, body),))

    def _answer(self, case: Case, rows: Rows, saga: Instance, answer: Answer) -> list[Bury]:
        """Build and publish an answer that no handler wrote, from the events that triggered the step."""
        action = case.role.action[answer.step]
        types = action.trigger.types if answer.step != START else frozenset((case.role.contract.starts,))
        try:
            cls, build_answer = self._handlers.answer(answer.step, answer.type)
            sources = Binding(self._store, self._codec, case.saga_id, saga, case.cause).events(types)
            body = encode(self._codec, build(cls, sources, answer.reason, build_answer))
        except StoreError:
            raise  # the turn's transaction is lost
        except Exception as error:  # the body of an event, or what the service's own answer= does
            detail = error if isinstance(error, ChoreoError) else type(error).__name__
            return [Bury("action", answer.step, f"unanswerable: {detail}")]
        self._publish(case, rows, answer.step, answer.outcome, answer.type, body)
        return []

    def _answer_at_last(self, case: Case, saga: Instance, step: str) -> None:
        """Answer what was refused while we caught up, unless the saga ended without us (rule R4)."""
        answers: list[Decision] = []
        steps.answer(saga, case.role.action[step], answers, "the saga is aborted")
        rows = Rows(case, saga, saga, None, self._clock.now())
        followups = [bury for each in answers for bury in self._carry_out(case, rows, saga, each, _NO_RESULT)]
        self._store.append(rows.entries())
        self._follow_up(case, followups)

    def _queue(self, case: Case, item: Queue) -> None:
        saga = self.sagas.get(case.role, case.saga_id)
        if item.task == "observer" and saga.observers[item.name][0] != case.cause.envelope.id:
            # One that has waited has a turn of its own: from here, a long queue of them would go too deep.
            case = self._remembered(case.saga_type, case.saga_id, saga.observers[item.name][0])
            self._schedule(case, item.task, item.name, self._clock.now(), 0)
            return
        if item.task == "action" and self._is_before_us(case.cause):
            return
        if not self.live or self._handlers.is_outside(item.task, item.name):
            self._schedule(case, item.task, item.name, self._clock.now(), 0)
        elif item.task == "observer":
            self._observe(case, item.name, 0)
        else:
            self._attempt(case, self._handlers.of_step(item.task, item.name, saga), 0)

    def _observe(self, case: Case, name: str, tried: int) -> None:
        if self._is_before_us(case.cause):
            self._tell(case, Observed(name))
        else:
            self._attempt(case, self._handlers.named(name), tried)

    def _attempt(self, case: Case, handler: Handler, tried: int) -> None:
        """Run a handler once; ``tried`` attempts have failed before.

        Below zero it counts the waits for its event's schema instead: they cost the handler no attempt.
        """
        now = self._clock.now()
        if self._is_late(case, handler, now):
            self._time_out(case, handler)
            return
        saga = self.sagas.get(case.role, case.saga_id)
        context = Context(case.saga_id, handler.step, handler.task, self._store.db, max(tried, 0) + 1, now)
        binding = Binding(self._store, self._codec, case.saga_id, saga, case.cause)
        span = telemetry.UNTRACED
        if self._is_traced:
            traceparent = case.cause.envelope.traceparent
            span = telemetry.handling(handler.name, case.saga_id, handler.step, traceparent)
        with span:
            result = attempt(self._store, self._codec, handler, binding, context)
            self._take_result(case, handler, result, tried)

    def _take_result(self, case: Case, handler: Handler, result: Attempt, tried: int) -> None:
        waited, tried = max(-tried, 0), max(tried, 0)
        if result.verdict == "returned":
            self._returned(case, handler, result)
        elif result.verdict == "unreadable":
            self._bury(case, handler.task, _told_name(handler), "unreadable-body", result.reason, tried)
        elif result.verdict == "unknown-fingerprint":
            self._await_schema(case, handler, waited + 1, result)
        elif result.verdict == "ignored":
            name = next(iter(handler.emits))
            self._tell(case, Ended(handler.step, COMPENSATED, name, "raised", result.reason))
        elif result.verdict == "permanent":
            self._fail(case, handler, result.reason, tried)
        else:
            self._retry(case, handler, tried + 1, result)

    def _returned(self, case: Case, handler: Handler, result: Attempt) -> None:
        if handler.task == "observer":
            self._tell(case, Observed(handler.name))
        elif handler.task == "deadline":
            self._tell(case, Due(handler.name), result)
        elif handler.task == "compensation":
            self._tell(case, Ended(handler.step, COMPENSATED, result.type), result)
        else:
            outcome: Outcome = SUCCEEDED if result.type in handler.successes else FAILED
            self._tell(case, Ended(handler.step, outcome, result.type), result)

    def _retry(self, case: Case, handler: Handler, tried: int, result: Attempt) -> None:
        endless = handler.task == "action" and handler.kind == "retriable"
        if tried >= handler.retry.attempts and not endless:
            self._fail(case, handler, f"gave up after {tried} attempts: {result.reason}", tried)
        else:
            self._postpone(case, handler, handler.retry.pause(tried), tried, result.reason)

    def _await_schema(self, case: Case, handler: Handler, waited: int, result: Attempt) -> None:
        if waited >= self._schema_retry.attempts:
            self._bury(case, handler.task, _told_name(handler), result.verdict, result.reason, waited)
        else:
            self._postpone(case, handler, self._schema_retry.pause(waited), -waited, result.reason)

    def _postpone(self, case: Case, handler: Handler, pause: timedelta, tried: int, reason: str) -> None:
        name = _told_name(handler)
        self._tell(case, Deferred(name, reason))
        saga = self.sagas.get(case.role, case.saga_id)
        if not _is_of_step(handler) or saga.step(name).activity == "waiting":
            due = self._clock.now() + round(pause.total_seconds() * 1000)
            if handler.timeout is not None:  # no pause is longer than the time that is left
                due = min(due, _in_time_until(handler.timeout, case.cause) + 1)
            self._schedule(case, handler.task, name, due, tried)

    def _fail(self, case: Case, handler: Handler, reason: str, tried: int) -> None:
        """End for good: an action that may fail answers, anything else waits in the dead letters."""
        if handler.task == "action" and handler.kind != "retriable":
            how: Literal["raised", "partial"] = "partial" if handler.partial else "raised"
            self._tell(case, Ended(handler.step, FAILED, "", how, reason))
        else:
            self._bury(case, handler.task, _told_name(handler), "gave-up", reason, tried)

    def _bury(self, case: Case, task: str, name: str, reason: str, detail: str, tried: int) -> None:
        letter = dead_letter(case, task, name, reason, detail, self._clock.now(), tried)
        number = self._store.add_dead_letter(letter)
        log.error(
            "dead letter %d: saga_id=%s step=%s %s: %s", number, case.saga_id, name, task, letter.reason
        )
        self._tell(case, Buried(name, reason))

    def _bury_unknown(self, row: Scheduled) -> None:
        """Keep what an earlier release of the service scheduled, for a handler that is gone."""
        number = self._store.add_dead_letter(unknown_handler(row, self._clock.now()))
        log.error(
            "dead letter %d: saga_id=%s step=%s %s: unknown-handler", number, row.saga_id, row.name, row.task
        )

    def _schedule(self, case: Case, task: str, name: str, due: int, tried: int) -> None:
        cause = case.cause.envelope.id
        lane: Lane = "call" if self._handlers.is_outside(task, name) else "turn"
        self._store.schedule((Scheduled(case.saga_id, case.saga_type, task, name, cause, due, tried, lane),))

    def _remembered(self, saga_type: str, saga_id: str, wanted: str) -> Case:
        """Give the case of an event that stands in the saga log."""
        entries = history_of(self._store, saga_type, saga_id)
        entry = next(each for each in entries if each.event_id == wanted and each.input == "event")
        return Case(self._roles[saga_type], self._topic_of[saga_type], saga_id, Cause.remembered(entry))

    def _is_before_us(self, cause: Cause) -> bool:
        return cause.offset < self.acts_from.get(Partition(cause.topic, cause.partition), 0)

    def _is_joining(self, cause: Cause) -> bool:
        return cause.offset < self.joined_at.get(Partition(cause.topic, cause.partition), 0)


def _told_name(handler: Handler) -> str:
    """Give the name by which the protocol knows a handler: a step's, or an observer's or a deadline's own."""
    return handler.step if _is_of_step(handler) else handler.name


def _is_of_step(handler: Handler) -> bool:
    return handler.task in ("action", "compensation")


def _in_time_until(timeout: timedelta, cause: Cause) -> int:
    """Give the last moment of a time that counts from the record of the event that began it."""
    return cause.time + round(timeout.total_seconds() * 1000)


def _traced(case: Case, traceparent: str) -> Case:
    """Give the case as caused by the call's own span, so that what it publishes is that span's child."""
    if not traceparent:
        return case
    envelope = case.cause.envelope._replace(traceparent=traceparent)
    return case._replace(cause=case.cause._replace(envelope=envelope))
