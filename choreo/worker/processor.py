"""``Processor``: processes records, due rows of the schedule, and results of calls."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, cast

from choreo import cloudevents, telemetry
from choreo.errors import HeadersError, SavepointSkipped
from choreo.outcome import FAILED, PIVOT
from choreo.participant import (
    NOTHING_SHARED,
    Context,
    Handler,
    NoDatabase,
    NoSessions,
    Participant,
    Sessions,
)
from choreo.ports import Clock, Codec, Refusal, Store
from choreo.protocol import (
    Begin,
    Bury,
    Deferred,
    Discarded,
    Due,
    Ended,
    Expire,
    Instance,
    Observed,
    Queue,
    Requeued,
    Run,
    fold,
)
from choreo.protocol.renaming import name_in
from choreo.protocol.steps import NOT_TAKEN, UNKNOWN_VERSION
from choreo.records import LATEST, DeadLetter, Record, SagaKey, Scheduled, record_time
from choreo.release import RETIRED
from choreo.retry import Retry
from choreo.worker.attempt import Attempt, attempt, failed, outcome, prepare
from choreo.worker.binding import Binding
from choreo.worker.by_hand import ByHand
from choreo.worker.calls import Call, Finished, Limit
from choreo.worker.clocks import Clocks
from choreo.worker.dead_letters import (
    MAX_DEATHS,
    PROCESS_ENDED,
    UNKNOWN_HANDLER,
    UNWORKABLE,
    DeadLetters,
    ended_detail,
    log,
    not_taken,
    settle_in_turn,
)
from choreo.worker.decisions import NO_EVENT, Decisions, FollowUp
from choreo.worker.failure import detail_of
from choreo.worker.handlers import Handlers
from choreo.worker.imports import IMPORT, Imports
from choreo.worker.instances import Instances, item_about, remembered_item
from choreo.worker.item import Item, TriggerEvent
from choreo.worker.partitions import Partitions
from choreo.worker.results import Again, Dead, result_of, timed_out
from choreo.worker.retired import Refused, Retired
from choreo.worker.schedule import (
    DISCARD,
    REQUEUE,
    RESOLVE,
    SETTLING,
    Schedule,
    due_after,
    expires_at,
)
from choreo.worker.tally import REFUSED, RETRIES, Tally
from choreo.worker.tracing import Handling
from choreo.worker.unpublishable import PUBLICATION, Unpublishable


class Processor:
    """Processes the items of one participant inside a turn of the store, each with all its follow-ups.

    ``instances`` are the sagas in memory, ``shared`` is the ``ctx.shared`` of calls, ``tally`` counts.
    ``schema_retry`` are the pauses in which a body of an unknown schema waits for that schema.
    """

    def __init__(
        self,
        participant: Participant,
        store: Store,
        codec: Codec,
        clock: Clock,
        partitions: Partitions,
        clocks: Clocks,
        *,
        sagas_in_memory: int,
        schema_retry: Retry,
        redact: bool = False,
    ) -> None:
        self.shared = NOTHING_SHARED
        self.tally = Tally()
        self._name = participant.name
        self._awaited = False
        self._redact = redact
        self._store = store
        self._codec = codec
        self._clock = clock
        self._partitions = partitions
        self._clocks = clocks
        self._schema_retry = schema_retry
        self._is_traced = telemetry.is_on()
        self._is_shared = not store.serves_one
        self._roles = participant.roles_by_version()
        self.instances = Instances(store, self._roles, sagas_in_memory)
        self._saga_of = {saga.topic: saga.name for saga in participant.sagas}
        self._topic_of = {saga.name: saga.topic for saga in participant.sagas}
        self._handlers = Handlers(participant)
        self._schedule = Schedule(store, self._handlers)
        self._imports = Imports(participant, store, codec, clock, self.tally, redact=redact)
        self._decisions = Decisions(
            participant,
            store,
            codec,
            clock,
            self._handlers,
            self._schedule,
            partitions,
            self.instances,
            self.tally,
            redact,
        )
        self._dead_letters = DeadLetters(store, clock, self._decisions)
        self._retired = Retired(store, codec, clock)
        self._by_hand = ByHand(codec, self._handlers, self._decisions, self._dead_letters, redact)
        session = participant.session
        self._sessions = None if session is None else store.sessions(session)
        self._ended: dict[tuple[object, ...], tuple[Attempt, str]] = {}
        self._unpublishable = Unpublishable(store, clock, self._dead_letters, self._saga_of)

    def read_ahead(self, records: Iterable[Record]) -> None:
        """Read what the store has of the sagas of records that are processed next."""
        keys = []
        for each in records:
            saga_type = self._saga_of.get(each.topic)
            if saga_type is not None and each.key:
                saga_id = each.key.decode(errors="replace")
                if len(saga_id) <= cloudevents.MAX_SAGA_ID and saga_id.isprintable():
                    keys.append(SagaKey(saga_id, saga_type))
        self.instances.read(keys)

    def record(self, record: Record) -> None:
        """Fold one record of a topic and run its follow-ups; an unreadable one becomes a dead letter."""
        if record.topic in self._imports.topics:
            if not self._partitions.is_before_start(record):
                self._imports.take(record, is_marked=self._partitions.postpones)
            return
        try:
            envelope = cloudevents.read(record)
            if envelope.saga_type != self._saga_of.get(record.topic):
                expected = self._saga_of.get(record.topic)
                raise HeadersError(f"ce_sagatype is not that of the topic, {expected!r}")
        except HeadersError as error:
            self.tally.add(REFUSED, "record")
            self._dead_letters.bury_record(record, str(error))
            return
        trigger = TriggerEvent.of_record(envelope, record)
        if not 0 <= trigger.time <= LATEST:
            trigger = trigger._replace(time=record_time(trigger.time, self._clock.now()))
        if self._is_shared and self._store.visit(envelope.saga_id, envelope.saga_type):
            self.instances.drop(envelope.saga_type, envelope.saga_id)
        role = self.instances.role(envelope.saga_type, envelope.saga_id, envelope.saga_version)
        item = Item(role, record.topic, envelope.saga_id, trigger)
        self._complete(self._decisions.apply(item, envelope))

    def is_import(self, record: Record) -> bool:
        """Whether a record is of a topic whose events are imported, by functions of the service."""
        return record.topic in self._imports.topics

    def mark_import(self, record: Record) -> bool:
        """Write that a record is about to be imported; whether the process has ended in it before."""
        return self._imports.mark(record)

    def due(self, row: Scheduled, *, has_room: bool = True) -> Call | None:
        """Process a due row, if the current state of the saga still requires it.

        Return the call to start once the turn is committed, if there is one. Without room for a call, a step
        whose timeout has passed is ended all the same.
        """
        row = self._take_off(row)
        if row.task in SETTLING:
            self._settle(row)
            return None
        unknown = self._unknown_version(row)
        if unknown:
            self._dead_letters.park(row, unknown)
            return None
        if row.saga_type not in self._roles.newest or not self._handlers.knows(
            row.saga_type, row.task, row.name
        ):
            self._dead_letters.bury_unknown(row)
            return None
        item = self._item(row)
        if self._is_of_other_versions(item, row.name):
            self._dead_letters.bury_unknown(row)
            return None
        if row.deaths >= MAX_DEATHS:
            self._complete(self._bury_deadly(item, row))
            return None
        if row.task in ("action", "compensation"):
            return self._due_step(item, row, has_room)
        self._complete(self._due_beside(item, row))
        return None

    def take_up(self) -> None:
        """Requeue the dead letters of what this release of the service knows again, and the last did not."""
        self._take_up_versions()
        for letter in self._store.open_letters(NOT_TAKEN):
            if self._handlers.observes(letter.name, letter.event_type):
                self._requeue(letter, f"{letter.name} takes {letter.event_type} again")

    def _take_up_versions(self) -> None:
        for letter in self._store.open_letters(UNKNOWN_VERSION):
            role = self._roles.newest.get(letter.saga_type)
            known = role.contract.version if role else 0
            if role and self.instances.get(role, letter.saga_id).version <= known:
                self._requeue(letter, f"version {known} is known now")

    def _requeue(self, letter: DeadLetter, comment: str) -> None:
        settle_in_turn(self._store, letter, "requeued", comment, self._clock.now())
        log.info("dead letter %d: requeued, as %s", letter.id, comment)

    def pull_in(self) -> None:
        """Let nothing wait for a time that only a clock which was ahead has set."""
        count = self._schedule.pull_in(self._clock.now(), self._schema_retry)
        if count:
            log.warning("the clock was ahead: %d rows of the schedule would have waited for too long", count)

    def runs_alone(self, row: Scheduled) -> bool:
        """Whether a row must be marked as under way, with `mark`, before its handler runs inside a turn.

        The process may have ended in it, or it may have effects that an end of the process doesn't undo.
        """
        if row.task not in ("action", "compensation", "observer", "deadline", "answer"):
            return row.deaths > 0
        return not self._handlers.is_outside(row.saga_type, row.task, row.name) and (
            row.deaths > 0 or self._handlers.is_partial_inside(row.saga_type, row.task, row.name)
        )

    def is_changed(self, row: Scheduled) -> bool:
        """Whether somebody has extended or revoked a deadline since its row was read, in another turn."""
        if row.task != "deadline":
            return False
        rows = self._store.scheduled(row.saga_id, row.saga_type)
        return not any(each[:5] == row[:5] and each.due == row.due for each in rows)

    def mark(self, row: Scheduled) -> None:
        """Write that a row is under way, so that an end of the process in it is counted."""
        if (
            self._handlers.is_partial_inside(row.saga_type, row.task, row.name)
            and row.saga_type in self._roles.newest
            and not self._unknown_version(row)
        ):
            item = self._item(row)
            name = self._known_name(row)
            begin = Begin(name, self._partitions.is_joining(item.trigger))
            saga = self.instances.get(item.role, item.saga_id)
            if Run("action", name) in fold(item.role, saga, begin)[1]:
                self._complete(self._decisions.apply(item, begin))
        self._store.schedule((row._replace(lane="out"),))

    def fail(self, row: Scheduled, error: BaseException) -> None:
        """End the attempt of a due row, which lost the turn that it alone was done in."""
        row = self._take_off(row)
        item = self._item(row)
        if row.task == "answer":
            detail = f"unanswerable: {detail_of(error, redact=self._redact)}"
            self._complete([(item, Bury("action", row.name, detail))])
            return
        saga = self.instances.get(item.role, item.saga_id)
        if row.task in ("action", "compensation"):
            handler = self._handlers.of_step(row.saga_type, row.task, row.name, saga)
        else:
            handler = self._handlers.named(row.name)
        attempted, now = max(row.attempt, 0) + 1, self._clock.now()
        context = _context(item, saga, handler, self._store.db, attempted, now)
        result = failed(handler, context, error, redact=self._redact)
        self._complete(self._conclude(item, handler, result, row.attempt))

    def bury(self, row: Scheduled, error: BaseException) -> None:
        """Bury a due row with which nothing can be done."""
        self._take_off(row)
        self._dead_letters.bury_row(row, detail_of(error, redact=self._redact))

    def bury_record(self, record: Record, error: BaseException) -> None:
        """Bury a record that can't be folded."""
        self.tally.add(REFUSED, "record")
        if self.is_import(record):
            self._imports.unmark(record)
        self._dead_letters.bury_record(record, detail_of(error, redact=self._redact), UNWORKABLE)

    def end_call(self, finished: Finished) -> None:
        """Process the result of a call, unless its step has ended meanwhile."""
        call = finished.call
        item, handler = _traced(call.item, finished.traceparent), call.handler
        if self._is_running(item, handler):
            self._store.unschedule(*item.saga_key, handler.task, handler.step)
            result = outcome(
                *(self._codec, handler, call.context, finished.result, finished.error),
                redact=self._redact,
            )
            self._complete(self._conclude(item, handler, result, call.row.attempt))

    def time_out_call(self, call: Call) -> None:
        """End a step whose call has exceeded its time limit."""
        if self._is_running(call.item, call.handler):
            self._store.unschedule(*call.item.saga_key, call.handler.task, call.handler.step)
            self._complete(self._time_out(call.item, call.handler))

    def refuse(self, refusal: Refusal) -> None:
        """Keep a dead letter of an event that the log refuses to take."""
        self.tally.add(REFUSED, "publication")
        self._unpublishable.bury(refusal)

    def extend_call(self, call: Call) -> None:
        """Extend the time limit of a call to the requested time."""
        if self._is_running(call.item, call.handler):
            call.limit.until = call.limit.asked
            self._store.schedule((call.row._replace(until=call.limit.until),))

    # Follow-ups of an item

    def _complete(self, followups: list[FollowUp]) -> None:
        """Run follow-ups, and their own follow-ups, before the next item."""
        stack = followups[::-1]
        while stack:
            item, decision = stack.pop()
            stack += reversed(self._follow_up(item, decision))

    def _follow_up(self, item: Item, decision: Queue | Bury) -> list[FollowUp]:
        """Run one follow-up; return those that follow from it."""
        if isinstance(decision, Bury):
            reason, _, detail = decision.reason.partition(": ")
            return self._dead_letters.bury(item, decision.task, decision.name, reason, detail, 0)
        return self._queue(item, decision.task, decision.name)

    def _queue(self, item: Item, task: str, name: str) -> list[FollowUp]:
        """Run a handler that is due now, or put it on the schedule."""
        saga, saga_type = self.instances.get(item.role, item.saga_id), item.saga_type
        if task == "observer" and saga.observers[name][0] != item.trigger.envelope.id:
            # The next waiting event has a turn of its own, so that a long queue doesn't make this one long.
            waiting = Scheduled(item.saga_id, item.saga_type, task, name, saga.observers[name][0], 0)
            self._schedule.put(self._item(waiting), task, name, self._clock.now())
            return []
        if task == "action" and self._partitions.is_before_start(item.trigger):
            return []
        where = item.trigger
        dispatches = self._partitions.dispatches(where.topic, where.partition)
        if not dispatches or self._handlers.is_scheduled(saga_type, task, name):
            self._schedule.put(item, task, name, self._clock.now())
            return []
        if task == "observer":
            return self._observe_in_order(item, saga, name, 0)
        return self._attempt(item, saga, self._handlers.of_step(saga_type, task, name, saga), 0)

    def _due_beside(self, item: Item, row: Scheduled) -> list[FollowUp]:
        """Process a due row of no step: an observer, a deadline, or a postponed answer."""
        saga = self.instances.get(item.role, item.saga_id)
        if row.task == "answer":
            return self._decisions.answer(item, row.name)
        if row.task == "observer":
            if saga.observers.get(row.name, ("",))[0] == row.event_id:
                return self._observe_in_order(item, saga, row.name, row.attempt)
        elif Expire(row.name) in fold(item.role, saga, Due(row.name))[1]:
            return self._attempt(item, saga, self._handlers.named(row.name), row.attempt)
        return []

    def _due_step(self, item: Item, row: Scheduled, has_room: bool) -> Call | None:
        """Run a due action or compensation, if it may begin; return the call to start where it is one."""
        saga = self.instances.get(item.role, item.saga_id)
        begin = Begin(row.name, self._partitions.is_joining(item.trigger))
        decisions = fold(item.role, saga, begin)[1]
        if Run(row.task, row.name) not in decisions:  # type: ignore[arg-type]
            if decisions:
                self._complete(self._decisions.apply(item, begin))
            return None
        handler = self._handlers.of_step(item.saga_type, row.task, row.name, saga)
        if handler.is_outside and row.lane != "turn":
            return self._begin_call(item, saga, handler, begin, row, has_room)
        if handler.is_outside:  # an earlier release of the service ran it inside
            self._schedule.put(item, row.task, row.name, row.due, row.attempt)
        else:  # begun and ended in one transaction: only the end is a row
            self._complete(self._attempt(item, saga, handler, row.attempt, row.deaths))
        return None

    def _begin_call(
        self, item: Item, saga: Instance, handler: Handler, begin: Begin, row: Scheduled, has_room: bool
    ) -> Call | None:
        """Write that a call is under way, and return it, to be started after the commit."""
        now = self._clock.now()
        # A step that is running was under way when the last process of the service ended.
        is_running = saga.step(handler.step).activity == "running"
        until = _limit(item, handler, row if is_running else None)
        is_over = until is not None and now > until
        if is_over and not (is_running and handler.kind == PIVOT):
            self._complete(self._time_out(item, handler))
            return None
        if not has_room:
            self._store.schedule((row._replace(until=0 if is_over else until or 0),))
            return None
        # The timeout of a pivot counts only until it begins.
        limit = Limit(None if handler.kind == PIVOT else until, self._clock)
        attempted = max(row.attempt, 0) + row.deaths + 1
        db = cast(Any, NoDatabase(handler.name))
        outside = limit.extend, self.shared, NoSessions(handler.name)
        context = _context(item, saga, handler, db, attempted, now, *outside)
        binding = Binding(self._store, self._codec, item.saga_key, saga, item.trigger)
        arguments = prepare(handler, binding, context, redact=self._redact)
        if isinstance(arguments, Attempt):
            self._complete(self._conclude(item, handler, arguments, row.attempt))
            return None
        followups = self._decisions.apply(item, begin)  # one more attempt, where it is running
        row = row._replace(lane="out", until=limit.until or 0)
        self._store.schedule((row,))
        self._complete(followups)
        return Call(item, handler, context, arguments, row, limit, self._is_traced)

    def _observe_in_order(self, item: Item, saga: Instance, name: str, tried: int) -> list[FollowUp]:
        """Run an observer, after those that have yet to handle an earlier event of the saga."""
        event_id = item.trigger.envelope.id
        if any(waiting[0] != event_id for other, waiting in saga.observers.items() if other != name):
            due = due_after(self._store, item, name, self._clock.now())
            if due is not None:
                self._schedule.put(item, "observer", name, due, tried)
                return []
        return self._observe(item, saga, name, tried)

    def _observe(self, item: Item, saga: Instance, name: str, tried: int) -> list[FollowUp]:
        if self._partitions.is_before_start(item.trigger):
            return self._decisions.apply(item, Observed(name))
        handler, event_type = self._handlers.named(name), item.trigger.envelope.type
        if not handler.takes(event_type):
            detail = not_taken(handler.name, event_type)
            return self._dead_letters.bury(item, "observer", name, NOT_TAKEN, detail, max(tried, 0))
        return self._attempt(item, saga, handler, tried)

    # Attempts and their results

    def _attempt(
        self, item: Item, saga: Instance, handler: Handler, tried: int, deaths: int = 0
    ) -> list[FollowUp]:
        """Run a handler once, inside the turn; ``tried`` as in `choreo.worker.results.Again`."""
        now = self._clock.now()
        if handler.timeout is not None and now > expires_at(handler.timeout, item.trigger):
            return self._time_out(item, handler)
        attempted = max(tried, 0) + deaths + 1
        context = _context(item, saga, handler, self._store.db, attempted, now, sessions=self._sessions)
        binding = Binding(self._store, self._codec, item.saga_key, saga, item.trigger)
        if self._ended and (ended := self._ended.pop(_key(handler, binding, context), None)) is not None:
            result, trace = ended
            return self._conclude(_traced(item, trace), handler, result._replace(at=now), tried)
        with Handling(item, handler, attempted) if self._is_traced else telemetry.UNTRACED as span:
            result = self._result(handler, binding, context)
            if span:
                span.told(result.verdict, result.type, result.error)
            return self._conclude(item, handler, result if result.at else result._replace(at=now), tried)

    def _result(self, handler: Handler, binding: Binding, context: Context) -> Attempt:
        """Call a handler; remember how the attempt has ended where the turn is to be done again."""
        try:
            return attempt(self._store, self._codec, handler, binding, context, redact=self._redact)
        except SavepointSkipped as error:
            if error.__cause__ is not None:
                result = failed(handler, context, error.__cause__, redact=self._redact)
                trace = telemetry.context() if self._is_traced else ""
                self._ended[_key(handler, binding, context)] = result, trace
            raise

    def forget_ended(self) -> None:
        """Forget the attempts that have ended in a turn that was to be done again, as it is done."""
        self._ended.clear()

    def _bury_deadly(self, item: Item, row: Scheduled) -> list[FollowUp]:
        """Bury a handler in which the process has ended too often."""
        detail = ended_detail(row.deaths)
        task = "action" if row.task == "answer" else row.task
        return self._dead_letters.bury(item, task, row.name, PROCESS_ENDED, detail, max(row.attempt, 0))

    def _conclude(self, item: Item, handler: Handler, attempt: Attempt, tried: int) -> list[FollowUp]:
        """Apply the result of an attempt: fold an input, schedule another attempt, or keep a dead letter."""
        self._tell_of_schemas(attempt, tried)
        result = result_of(handler, attempt, tried, self._schema_retry)
        if isinstance(result, Again):
            return self._try_again(item, handler, result)
        if isinstance(result, Dead):
            self._awaited &= attempt.verdict != "unknown-fingerprint"  # its letter says that it is over
            if handler.is_of_step:
                item = item_about(self._store, item, result.event_type)
            return self._dead_letters.bury(
                item, handler.task, handler.known_as, result.reason, result.detail, result.tried
            )
        if isinstance(result, Ended) and result.outcome == FAILED:
            progress = self.instances.get(item.role, item.saga_id).step(result.step)
            result = result.after_attempts(item.role.action[result.step], progress)
        said = NO_EVENT._replace(detail=attempt.detail) if attempt.detail else NO_EVENT
        return self._decisions.apply(item, result, attempt if attempt.verdict == "returned" else said)

    def _tell_of_schemas(self, attempt: Attempt, tried: int) -> None:
        """Log once that bodies wait for a schema, and once that they don't any more."""
        if attempt.verdict == "unknown-fingerprint":
            if tried >= 0 and not self._awaited:
                log.warning("%s: waits for a schema: %s", self._name, attempt.reason)
                self._awaited = True
        elif self._awaited and tried < 0:
            log.warning("%s: the schema that it waited for is there", self._name)
            self._awaited = False

    def _try_again(self, item: Item, handler: Handler, again: Again) -> list[FollowUp]:
        name = handler.known_as
        followups = self._decisions.apply(item, Deferred(name, again.reason, again.tried > 0))
        saga = self.instances.get(item.role, item.saga_id)
        if not handler.is_of_step or saga.step(name).activity == "waiting":
            due = self._clock.now() + round(again.pause.total_seconds() * 1000)
            if handler.timeout is not None:  # no pause is longer than the remaining time
                due = min(due, expires_at(handler.timeout, item.trigger) + 1)
            self._schedule.put(item, handler.task, name, due, again.tried)
            self.tally.add(RETRIES, item.saga_type)
        return followups

    def _time_out(self, item: Item, handler: Handler) -> list[FollowUp]:
        progress = self.instances.get(item.role, item.saga_id).step(handler.step)
        begun = progress.activity == "running" or progress.attempt > 0
        return self._decisions.apply(
            item, timed_out(handler, begun=begun, clock=self._clocks.blame(item.trigger))
        )

    def _is_running(self, item: Item, handler: Handler) -> bool:
        saga = self.instances.get(item.role, item.saga_id)
        return saga.step(handler.step).activity == "running"

    def _take_off(self, row: Scheduled) -> Scheduled:
        """Take a row off the schedule, which until then says what its saga is about to do.

        Return it with the name under which the saga knows the handler, which a release may have renamed.
        """
        known = self._known_name(row)
        for name in {row.name, known}:
            self._store.unschedule(row.saga_id, row.saga_type, row.task, name)
        return row if known == row.name else row._replace(name=known)

    def _known_name(self, row: Scheduled) -> str:
        if row.saga_type not in self._roles.newest:
            return row.name
        role = self.instances.role(row.saga_type, row.saga_id, 0)
        return name_in(role, self.instances.get(role, row.saga_id), row.name)

    def _settle(self, row: Scheduled) -> None:
        """Requeue, discard or resolve a dead letter that an operator has settled."""
        letter = self._store.dead_letter(int(row.name))
        # One may be removed from the database by hand; an event was folded, so its letter is only closed.
        if letter is None or letter.task == "event":
            return
        if row.deaths >= MAX_DEATHS:
            self._dead_letters.reopen(letter, PROCESS_ENDED, ended_detail(row.deaths))
            return
        if row.task == RESOLVE:
            self._resolve(letter)
            return
        if letter.task in (IMPORT, PUBLICATION):
            self._settle_record(letter, row.task)
            return
        unknown = self._unknown_version(letter)
        if unknown and (row.task == REQUEUE or letter.task != "saga"):
            detail = f"version {unknown} of the saga is not known to this release"
            self._dead_letters.reopen(letter, UNKNOWN_VERSION, detail)
        elif letter.task == "saga" and letter.saga_type in self._roles.newest:
            self._take_up(letter, row.task)
        else:
            self._settle_work(letter, row.task)

    def _settle_work(self, letter: DeadLetter, task: str) -> None:
        """Requeue or discard the work of a handler."""
        item = self._item(letter) if self._has_handler(letter) else None
        if item is None or self._is_of_other_versions(item, letter.name):
            self._settle_retired(letter, task)
            return
        # The saga's state may have changed: whether a handler still runs is decided when it is due.
        for about, decision in self._settled(item, letter, task):
            if isinstance(decision, Queue):
                self._schedule.put(about, decision.task, decision.name, self._clock.now())
            else:
                self._complete([(about, decision)])

    def _resolve(self, letter: DeadLetter) -> None:
        """End the work of a handler with the event that was given for it."""
        item = self._item(letter) if self._has_handler(letter) else None
        if item is None or self._is_of_other_versions(item, letter.name):
            detail = f"not resolved: the service has no {letter.name}"
            self._dead_letters.reopen(letter, letter.reason, detail)
        else:
            self._complete(self._by_hand.resolve(item, letter))

    def _has_handler(self, letter: DeadLetter) -> bool:
        """Whether this release has a handler for the work of a letter, and for what the step returned."""
        role = self._roles.newest.get(letter.saga_type)
        if role is None or not self._handlers.knows(letter.saga_type, letter.task, letter.name):
            return False
        result = self.instances.get(role, letter.saga_id).step(letter.name).result
        is_undo = letter.task == "compensation" and result
        return not is_undo or self._handlers.undoes(letter.saga_type, letter.name, result)

    def _forget(self, letter: DeadLetter) -> None:
        role = self._roles.newest.get(letter.saga_type)
        if role is not None:
            self.instances.forget(role, letter.saga_id)

    def _settle_retired(self, letter: DeadLetter, task: str) -> None:
        """Requeue or discard work for which this release has no handler."""
        is_of_step = letter.task in ("action", "compensation")
        reason = RETIRED if letter.reason == RETIRED else UNKNOWN_HANDLER
        if task == REQUEUE:
            self._dead_letters.reopen(letter, reason, f"the service has no {letter.name}")
        elif is_of_step:
            try:
                self._retired.discard(letter)
            except Refused as refused:
                self._dead_letters.reopen(letter, reason, str(refused))
            self._forget(letter)

    def _take_up(self, letter: DeadLetter, task: str) -> None:
        """Do what the held events of a saga call for, one after the other, or nothing of it any more."""
        item = self._item(letter)
        for event_id in list(self.instances.get(item.role, item.saga_id).held):
            about = self._item(letter._replace(event_id=event_id))
            step = about.trigger.envelope.step
            settled = (
                Requeued(step, event_id) if task == REQUEUE else Discarded(step, letter.comment, event_id)
            )
            self._complete(self._decisions.apply(about, settled))

    def _settle_record(self, letter: DeadLetter, task: str) -> None:
        """Requeue or discard a record that was not imported, or an event that was not published."""
        if letter.task == PUBLICATION:
            self._unpublishable.settle(letter, task)
        elif task == REQUEUE:
            self._imports.take_again(letter)

    def _settled(self, item: Item, letter: DeadLetter, task: str) -> list[FollowUp]:
        if task == DISCARD:
            return self._dead_letters.discard(item, letter)
        is_parked = letter.reason == UNKNOWN_VERSION and not self._is_dead(item, letter.name)
        if not is_parked and letter.reason not in (UNKNOWN_HANDLER, UNWORKABLE):
            return self._decisions.apply(item, Requeued(letter.name, letter.event_id))
        # Without a handler the letter can't be settled, and the saga still waits for it.
        self._schedule.put(item, letter.task, letter.name, self._clock.now(), letter.attempt)
        return []

    def _is_dead(self, item: Item, step: str) -> bool:
        return self.instances.get(item.role, item.saga_id).step(step).activity == "dead"

    def _unknown_version(self, what: Scheduled | DeadLetter) -> int:
        """Return the version of a saga that this release of the service doesn't know, 0 for a known one."""
        role = self._roles.newest.get(what.saga_type)
        if role is None or not what.saga_id:
            return 0
        version = self.instances.get(role, what.saga_id).version
        return version if version > role.contract.version else 0

    def _is_of_other_versions(self, item: Item, name: str) -> bool:
        """Whether a handler is not of the version of an item's saga, as where a release has narrowed it."""
        if not self._roles.differs(item.saga_type):
            return False
        return not self._handlers.is_of(name, self.instances.get(item.role, item.saga_id).version)

    def _item(self, what: Scheduled | DeadLetter) -> Item:
        newest, topic = self._roles.newest[what.saga_type], self._topic_of[what.saga_type]
        item = remembered_item(self._store, newest, topic, what)
        version = item.trigger.envelope.saga_version
        return item._replace(role=self.instances.role(what.saga_type, what.saga_id, version))


def _context(
    item: Item,
    saga: Instance,
    handler: Handler,
    db: Any,
    attempt: int,
    now: int,
    extends: Any = None,
    shared: Any = NOTHING_SHARED,
    sessions: Sessions | None = None,
) -> Context:
    named = (item.saga_id, handler.step, handler.task)
    return Context(*named, db, attempt, now, extends, item.saga_type, saga.keyed_by_id, shared, sessions)


def _key(handler: Handler, binding: Binding, context: Context) -> tuple[object, ...]:
    """Return what names one attempt of a handler."""
    return handler.name, binding.saga_key, binding.trigger.envelope.id, context.attempt


def _limit(item: Item, handler: Handler, recalled: Scheduled | None) -> int | None:
    """Return the time limit of a step, which the row of a recalled call may have extended."""
    if handler.timeout is None:
        return None
    return max(expires_at(handler.timeout, item.trigger), recalled.until if recalled else 0)


def _traced(item: Item, traceparent: str) -> Item:
    """Return the item with the call's own span as the parent of what is published."""
    if not traceparent:
        return item
    envelope = item.trigger.envelope._replace(traceparent=traceparent)
    return item._replace(trigger=item.trigger._replace(envelope=envelope))
