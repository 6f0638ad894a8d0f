"""``Rerun``: a trace of ``choreo verify``, run again with the real handlers, in the order that it tells."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any, NamedTuple

from choreo.avro import AvroCodec
from choreo.cloudevents import headers_of, read
from choreo.envelope import Envelope, event_id
from choreo.errors import ConfigurationError, Permanent
from choreo.events import event_name
from choreo.outcome import CANCEL, COMPENSATED, FAILED, START
from choreo.participant import Context, Handler, Participant
from choreo.records import Record
from choreo.retry import Retry
from choreo.saga import Saga
from choreo.testing.seat import Seat
from choreo.testing.simulation import Simulation
from choreo.testing.standins import made_up, names_of
from choreo.verify.engine.run_file import RunEvent as TraceEvent
from choreo.verify.engine.run_file import RunFile as Trace

SAGA_ID = "rerun"
_PATIENCE = Retry(attempts=1_000_000, delay=timedelta(milliseconds=1), factor=1.0)
_MOST_TRIES = 50
_WORKED = ("handler", "raised", "requeued")
_OUTSIDE = ("start", "cancellation", "outside")


class Course(NamedTuple):
    """How it went: ``events`` of the log, by type, and what is ``different`` from the trace, if anything.

    ``forced`` says where a handler did otherwise by itself, with these made-up payloads.
    """

    events: tuple[str, ...]
    end: str
    different: str = ""
    forced: tuple[str, ...] = ()


class _NotYet(Exception):
    """A handler's time, by the trace, has not come."""


class Rerun(Simulation):
    """Participants that follow a trace: each reads, works and publishes when the trace says so.

    The worker, the store and the codec are the real ones. A handler fails where the trace says so, and is
    called where it succeeds; what it returns counts if it is what the trace has, else an event of that type
    with made-up values takes its place. Its own timeout is left out: time passes for deadlines alone.
    Raises `ConfigurationError` where the trace is not of these participants.
    """

    def __init__(self, participants: Sequence[Participant], trace: Trace) -> None:
        self.course = trace
        self._saga = _saga_of(participants, trace)
        self._classes = names_of(cls for each in participants for cls in each.events)
        self._refuse_foreign(participants)
        self._taken: Counter[str] = Counter()
        self._forced: list[str] = []
        self._at = 0
        self._is_free = False
        super().__init__([_patient(each, self) for each in participants])

    def _refuse_foreign(self, participants: Sequence[Participant]) -> None:
        names = {each.name for each in participants}
        for event in self.course.events:
            wanted = event.participant in names or event.how in _OUTSIDE
            if not wanted or event.type not in self._classes:
                raise ConfigurationError(
                    f"the trace has {event.type} by {event.participant or 'nobody'}, which is not here",
                    hint="name the modules or manifests of which the trace was written",
                )

    def follow(self) -> Course:
        """Go where the trace goes; then let everything run that still would."""
        for seat in self.seats.values():
            while not seat.worker.is_live:
                seat.turn()
            seat.wire.is_open = seat.worker.calls.is_open = False
        for number, event in enumerate(self.course.events):
            self._at = number
            different = self._bring(event)
            if different:
                return self._told(different)
        self._run_free()
        end = self._end()
        if end != self.course.end and not self._told("").events[len(self.course.events) :]:
            return self._told(f"the saga is {end or 'open'} in the end, not {self.course.end or 'open'}")
        return self._told("")

    def _bring(self, event: TraceEvent) -> str:
        """Let the next event come; say what came instead."""
        if event.read > self._at:
            return f"{event.participant} can't have read {event.read} events when there are {self._at}"
        if event.how in _OUTSIDE and not self._starts_by_itself(event):
            self._append(event)
            return ""
        seat = self.seats[event.participant]
        if event.how == "start":
            with seat.participant.transaction() as tx:
                tx.start(made_up(self._classes[event.type]), SAGA_ID)
        while self._taken[seat.name] < event.read:
            self._read_one(seat)
        self._begin_calls(seat)
        self._pass_deadline(seat, event)
        for _ in range(_MOST_TRIES):
            if seat.wire.in_flight:
                break
            self._step(seat)
        return self._publish(seat, event)

    def _pass_deadline(self, seat: Seat, event: TraceEvent) -> None:
        """Let so much time pass that the trace's deadline is due; the others wait all the same."""
        for handler in seat.participant.handlers:
            if event.how == "deadline" and event.type in handler.emits and handler.within is not None:
                self.clock.advance(handler.within.total_seconds())

    def _publish(self, seat: Seat, event: TraceEvent) -> str:
        if not seat.wire.in_flight:
            return f"{event.participant} does not publish {event.type}"
        seat.wire.deliver(seat.wire.in_flight[0])
        assert self.broker.latest is not None
        came = read(self.broker.latest)
        if (came.step, came.outcome, came.type) != (event.step, event.outcome, event.type):
            return f"{event.participant} publishes {came.type}, not {event.type}"
        return ""

    def _starts_by_itself(self, event: TraceEvent) -> bool:
        seat = self.seats.get(event.participant)
        return event.how == "start" and seat is not None and self._role(seat).owns_start

    def _role(self, seat: Seat) -> Any:
        return seat.participant.roles()[self._saga.name]

    def _begin_calls(self, seat: Seat) -> None:
        """Let those calls begin that the trace has begun by now."""
        pending = self.course.events[self._at :]
        begun = self._taken[seat.name]
        if any(e.participant == seat.name and e.begun <= begun and e.how in _WORKED for e in pending):
            seat.worker.calls.is_open = seat.fragile.was_touched = True
            seat.turn()
            seat.worker.calls.is_open = False

    def _read_one(self, seat: Seat) -> None:
        self._begin_calls(seat)
        seat.wire.is_open = True
        seat.turn()
        seat.wire.is_open = False

    def _step(self, seat: Seat) -> None:
        """Let a participant do what it can, without reading; where it can't do anything, let time pass."""
        if seat.calls.is_ready:
            seat.step_call()
        wakes_at, due = seat.wakes_at, seat.worker.wakes_at
        is_due = due is not None and due <= self.clock.now()
        is_busy = seat.calls.finished or seat.fragile.was_touched or is_due
        if wakes_at is not None and not is_busy:
            self.clock.advance_to(wakes_at)
        seat.turn()

    def _run_free(self) -> None:
        """Let everybody read on, and do what the trace does not tell; no time passes."""
        self._is_free = True
        for seat in self.seats.values():
            seat.wire.is_open = seat.worker.calls.is_open = True
        self.run(before=self.clock.now() + 1_000)

    def _append(self, event: TraceEvent) -> None:
        """Publish what comes from outside of the saga."""
        kind = {START: "start", CANCEL: "cancellation"}.get(event.step, "external")
        envelope = Envelope(
            event_id(SAGA_ID, event.step, event.outcome, event.type),
            event.participant or "somebody",
            event.type,
            self.clock.now(),
            SAGA_ID,
            self._saga.name,
            self._saga.version,
            event.step,
            event.outcome,  # type: ignore[arg-type]
            kind,  # type: ignore[arg-type]
        )
        cls = self._classes[event.type]
        body = AvroCodec([cls]).encode(made_up(cls))
        self.broker.append(self._saga.topic, SAGA_ID.encode(), headers_of(envelope), body)

    def _on_taken(self, seat: Seat, records: Sequence[Record]) -> None:
        self._taken[seat.name] += sum(record.topic == self._saga.topic for record in records)

    def _told(self, different: str) -> Course:
        events = [read(record) for record in self.broker.records(self._saga.topic)]
        return Course(tuple(each.type for each in events), self._end(), different, tuple(self._forced))

    def _end(self) -> str:
        histories = (seat.store.history(SAGA_ID) for seat in self.seats.values())
        states = {entries[-1].saga_state for entries in histories if entries}
        return next(iter(states)) if len(states) == 1 and states <= {"completed", "failed"} else ""

    # What the handlers do

    def expects(self, handler: Handler) -> TraceEvent | None:
        """Give the event that is a handler's to bring about now; None where its time has not come."""
        event = self.course.events[self._at]
        mine = event.step == handler.step and handler.name.startswith(f"{event.participant}.")
        task = {COMPENSATED: "compensation", "timed_out": "deadline"}.get(event.outcome, "action")
        undoes_halfway = event.how == "raised" and handler.task == "compensation"
        due = mine and self._taken[event.participant] >= event.read
        return event if due and (task == handler.task or undoes_halfway) else None

    def is_free(self, handler: Handler) -> bool:
        """Say whether a handler may do as it likes: the trace is over, or it only looks on."""
        return self._is_free or handler.task == "observer"

    def replaced(self, handler: Handler, event: TraceEvent, given: Sequence[Any], did: str) -> Any:
        """Give an event of the type that the trace has, for what a handler did by itself."""
        self._forced.append(f"{handler.name} {did}, not {event.type}")
        return made_up(handler.emits[event.type], _events(given))


def _patient(participant: Participant, rerun: Rerun) -> Participant:
    """Give a participant whose handlers wait for their time, and have a result that the trace has."""
    return participant.twin(lambda handler: _scripted(handler, rerun))


def _scripted(handler: Handler, rerun: Rerun) -> Handler:
    async def waited(*given: Any) -> Any:
        while not rerun.is_free(handler) and rerun.expects(handler) is None:
            await asyncio.sleep(0.001)
        return await _called_outside(handler, rerun, given)

    def called(*given: Any) -> Any:
        if rerun.is_free(handler):
            return handler.function(*given)
        event = rerun.expects(handler)
        if event is None:
            raise _NotYet
        forced = _forced(handler, rerun, event, given)
        return forced if forced is not None else _checked(handler, rerun, event, given)

    function = waited if handler.is_outside else called
    runs = replace(handler, runs="coroutine") if handler.is_outside else handler
    return replace(runs, function=function, timeout=None, retry=_PATIENCE, ignore=())


async def _called_outside(handler: Handler, rerun: Rerun, given: Sequence[Any]) -> Any:
    event = None if rerun.is_free(handler) else rerun.expects(handler)
    forced = _forced(handler, rerun, event, given) if event else None
    if forced is not None:
        return forced
    try:
        result = handler.function(*given)
        result = await result if asyncio.iscoroutine(result) else result
    except Exception as error:
        if event is None:
            raise
        return rerun.replaced(handler, event, given, f"raised {type(error).__name__}")
    return result if event is None else _fitting(handler, rerun, event, given, result)


def _forced(handler: Handler, rerun: Rerun, event: TraceEvent, given: Sequence[Any]) -> Any:
    """Give what the trace lets a handler return without being called; None where it is to be called."""
    if handler.task == "compensation" or event.outcome != FAILED:
        return None
    if event.how == "raised":
        raise Permanent("the trace lets it fail")
    return made_up(handler.emits[event.type], _events(given))


def _checked(handler: Handler, rerun: Rerun, event: TraceEvent, given: Sequence[Any]) -> Any:
    try:
        result = handler.function(*given)
    except Exception as error:
        return rerun.replaced(handler, event, given, f"raised {type(error).__name__}")
    return _fitting(handler, rerun, event, given, result)


def _fitting(handler: Handler, rerun: Rerun, event: TraceEvent, given: Sequence[Any], result: Any) -> Any:
    name = event_name(type(result)) if result is not None else "nothing"
    if name == event.type or (handler.task == "compensation" and event.outcome != COMPENSATED):
        return result
    return rerun.replaced(handler, event, given, f"returned {name}")


def _events(given: Sequence[Any]) -> Iterator[Any]:
    return (each for each in given if each is not None and not isinstance(each, Context))


def _saga_of(participants: Sequence[Participant], trace: Trace) -> Saga:
    for participant in participants:
        for saga in participant.sagas:
            if saga.name == trace.saga:
                return saga
    raise ConfigurationError(
        f"nobody here takes part in saga {trace.saga!r}",
        hint="name the modules or manifests of which the trace was written",
    )
