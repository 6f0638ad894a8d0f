"""``CounterexampleReplay``: runs a counterexample of ``choreo verify`` with the real handlers."""

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
from choreo.testing.fakes import by_name, fake_event
from choreo.testing.history import SagaHistory
from choreo.testing.process import Process
from choreo.testing.simulation import Simulation
from choreo.verify.engine.run_file import RunEvent, RunFile

SAGA_ID = "rerun"
_ENDLESS_RETRY = Retry(attempts=1_000_000, delay=timedelta(milliseconds=1), factor=1.0)
_MOST_TRIES = 50
_WORKED = ("handler", "raised", "requeued")
_OUTSIDE = ("start", "cancellation", "outside")


class ReplayResult(NamedTuple):
    """The result of a replay: the types of the events on the topic, and the first difference, or empty.

    ``end`` is ``"completed"``, ``"failed"`` or empty. ``replaced`` describes the results of handlers
    that were replaced by a fake event.
    """

    events: tuple[str, ...]
    end: str
    different: str = ""
    replaced: tuple[str, ...] = ()


class _NotYet(Exception):
    """Raised where a handler is called before its turn."""


class CounterexampleReplay(Simulation):
    """A simulation of participants that read, work and publish in the order of a counterexample.

    The worker, the store and the codec are the real ones. A handler fails where it fails in the
    counterexample, and is called where it succeeds; a result of another type is replaced by a fake event of
    the right type. Timeouts of handlers are ignored: time passes for deadlines alone.
    Raises `ConfigurationError` where the counterexample is of other participants.
    """

    def __init__(self, participants: Sequence[Participant], counterexample: RunFile) -> None:
        self._expected = counterexample
        self._saga = _saga_of(participants, counterexample)
        self._classes = by_name(cls for each in participants for cls in each.events)
        self._refuse_foreign(participants)
        self._taken: Counter[str] = Counter()
        self._replacements: list[str] = []
        self._at = 0
        self._is_free = False
        super().__init__([_following(each, self) for each in participants])

    def _refuse_foreign(self, participants: Sequence[Participant]) -> None:
        names = {each.name for each in participants}
        for event in self._expected.events:
            wanted = event.participant in names or event.how in _OUTSIDE
            if not wanted or event.type not in self._classes:
                raise ConfigurationError(
                    f"the trace has {event.type} by {event.participant or 'nobody'}, which is not here",
                    hint="name the modules or manifests of which the trace was written",
                )

    def follow(self) -> ReplayResult:
        """Run the counterexample, and then the rest of the saga."""
        for process in self.processes.values():
            while not process.worker.is_live:
                process.turn()
            process.log.is_open = process.worker.calls.is_open = False
        for number, event in enumerate(self._expected.events):
            self._at = number
            different = self._bring(event)
            if different:
                return self._result(different)
        self._run_free()
        end = self._end()
        if end != self._expected.end and not self._result("").events[len(self._expected.events) :]:
            return self._result(f"the saga is {end or 'open'} in the end, not {self._expected.end or 'open'}")
        return self._result("")

    def _bring(self, event: RunEvent) -> str:
        """Run until the next event is published; return the difference where another thing happened."""
        if event.read > self._at:
            return f"{event.participant} can't have read {event.read} events when there are {self._at}"
        if event.how in _OUTSIDE and not self._starts_by_itself(event):
            self._append(event)
            return ""
        process = self.processes[event.participant]
        if event.how == "start":
            with process.participant.transaction() as tx:
                tx.start(fake_event(self._classes[event.type]), SAGA_ID)
        while self._taken[process.name] < event.read:
            self._read_one(process)
        self._begin_calls(process)
        self._pass_deadline(process, event)
        for _ in range(_MOST_TRIES):
            if process.log.in_flight:
                break
            self._step(process)
        return self._publish(process, event)

    def _pass_deadline(self, process: Process, event: RunEvent) -> None:
        """Advance the time to the event's deadline; all other handlers still wait for their turn."""
        for handler in process.participant.handlers:
            if event.how == "deadline" and event.type in handler.emits and handler.within is not None:
                self.clock.advance(handler.within.total_seconds())

    def _publish(self, process: Process, event: RunEvent) -> str:
        if not process.log.in_flight:
            return f"{event.participant} does not publish {event.type}"
        process.log.deliver(process.log.in_flight[0])
        assert self.broker.latest is not None
        came = read(self.broker.latest)
        if (came.step, came.outcome, came.type) != (event.step, event.outcome, event.type):
            return f"{event.participant} publishes {came.type}, not {event.type}"
        return ""

    def _starts_by_itself(self, event: RunEvent) -> bool:
        process = self.processes.get(event.participant)
        return event.how == "start" and process is not None and self._role(process).owns_start

    def _role(self, process: Process) -> Any:
        return process.participant.roles()[self._saga.name]

    def _begin_calls(self, process: Process) -> None:
        """Begin the calls that have begun at this point of the counterexample."""
        pending = self._expected.events[self._at :]
        begun = self._taken[process.name]
        if any(e.participant == process.name and e.begun <= begun and e.how in _WORKED for e in pending):
            process.worker.calls.is_open = process.faulty_store.was_touched = True
            process.turn()
            process.worker.calls.is_open = False

    def _read_one(self, process: Process) -> None:
        self._begin_calls(process)
        process.log.is_open = True
        process.turn()
        process.log.is_open = False

    def _step(self, process: Process) -> None:
        """Make a participant work without reading; where it has no work, advance the time."""
        if process.calls.is_ready:
            process.step_call()
        wakes_at, due = process.wakes_at, process.worker.wakes_at
        is_due = due is not None and due <= self.clock.now()
        is_busy = process.calls.finished or process.faulty_store.was_touched or is_due
        if wakes_at is not None and not is_busy:
            self.clock.advance_to(wakes_at)
        process.turn()

    def _run_free(self) -> None:
        """Run every participant without further control, while no time passes."""
        self._is_free = True
        for process in self.processes.values():
            process.log.is_open = process.worker.calls.is_open = True
        self.run(before=self.clock.now() + 1_000)

    def _append(self, event: RunEvent) -> None:
        """Publish an event that no participant publishes."""
        kind = {START: "start", CANCEL: "cancellation"}.get(event.step, "external")
        envelope = Envelope(
            event_id(SAGA_ID, self._saga.name, event.step, event.outcome, event.type),
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
        body = AvroCodec([cls]).encode(fake_event(cls))
        self.broker.append(self._saga.topic, SAGA_ID.encode(), headers_of(envelope), body)

    def _on_taken(self, process: Process, records: Sequence[Record]) -> None:
        self._taken[process.name] += sum(record.topic == self._saga.topic for record in records)

    def _result(self, different: str) -> ReplayResult:
        events = [read(record) for record in self.broker.records(self._saga.topic)]
        return ReplayResult(
            tuple(each.type for each in events), self._end(), different, tuple(self._replacements)
        )

    def _end(self) -> str:
        return SagaHistory(self._saga, map(read, self.broker.records(self._saga.topic))).end

    # For the handlers

    def expects(self, handler: Handler) -> RunEvent | None:
        """Return the event that a handler must cause now; None where it is not its turn."""
        event = self._expected.events[self._at]
        is_own = event.step == handler.step and handler.name.startswith(f"{event.participant}.")
        task = {COMPENSATED: "compensation", "timed_out": "deadline"}.get(event.outcome, "action")
        undoes_halfway = event.how == "raised" and handler.task == "compensation"
        due = is_own and self._taken[event.participant] >= event.read
        return event if due and (task == handler.task or undoes_halfway) else None

    def is_free(self, handler: Handler) -> bool:
        """Whether a handler runs freely: the counterexample is over, or it is an observer."""
        return self._is_free or handler.task == "observer"

    def replacement(self, handler: Handler, event: RunEvent, given: Sequence[Any], did: str) -> Any:
        """Return a fake event of the counterexample's type, in place of a handler's result."""
        self._replacements.append(f"{handler.name} {did}, not {event.type}")
        return fake_event(handler.emits[event.type], _events(given))


def _following(participant: Participant, replay: CounterexampleReplay) -> Participant:
    """Return a copy of a participant whose handlers follow the counterexample."""
    return participant.with_handlers(_scripted(handler, replay) for handler in participant.handlers)


def _scripted(handler: Handler, replay: CounterexampleReplay) -> Handler:
    async def waited(*given: Any) -> Any:
        while not replay.is_free(handler) and replay.expects(handler) is None:
            await asyncio.sleep(0.001)
        return await _called_outside(handler, replay, given)

    def called(*given: Any) -> Any:
        if replay.is_free(handler):
            return handler.function(*given)
        event = replay.expects(handler)
        if event is None:
            raise _NotYet
        failure = _forced_failure(handler, replay, event, given)
        return failure if failure is not None else _called_inside(handler, replay, event, given)

    function = waited if handler.is_outside else called
    runs = replace(handler, runs="coroutine") if handler.is_outside else handler
    return replace(runs, function=function, timeout=None, retry=_ENDLESS_RETRY, ignore=())


async def _called_outside(handler: Handler, replay: CounterexampleReplay, given: Sequence[Any]) -> Any:
    event = None if replay.is_free(handler) else replay.expects(handler)
    failure = _forced_failure(handler, replay, event, given) if event else None
    if failure is not None:
        return failure
    try:
        result = handler.function(*given)
        result = await result if asyncio.iscoroutine(result) else result
    except Exception as error:
        if event is None:
            raise
        return replay.replacement(handler, event, given, f"raised {type(error).__name__}")
    return result if event is None else _checked_result(handler, replay, event, given, result)


def _forced_failure(
    handler: Handler, replay: CounterexampleReplay, event: RunEvent, given: Sequence[Any]
) -> Any:
    """Return the failure of a handler that must not be called; None where it must be called."""
    if handler.task == "compensation" or event.outcome != FAILED:
        return None
    if event.how == "raised":
        raise Permanent("the trace lets it fail")
    return fake_event(handler.emits[event.type], _events(given))


def _called_inside(
    handler: Handler, replay: CounterexampleReplay, event: RunEvent, given: Sequence[Any]
) -> Any:
    try:
        result = handler.function(*given)
    except Exception as error:
        return replay.replacement(handler, event, given, f"raised {type(error).__name__}")
    return _checked_result(handler, replay, event, given, result)


def _checked_result(
    handler: Handler, replay: CounterexampleReplay, event: RunEvent, given: Sequence[Any], result: Any
) -> Any:
    name = event_name(type(result)) if result is not None else "nothing"
    if name == event.type or (handler.task == "compensation" and event.outcome != COMPENSATED):
        return result
    return replay.replacement(handler, event, given, f"returned {name}")


def _events(given: Sequence[Any]) -> Iterator[Any]:
    return (each for each in given if each is not None and not isinstance(each, Context))


def _saga_of(participants: Sequence[Participant], run: RunFile) -> Saga:
    for participant in participants:
        for saga in participant.sagas:
            if saga.name == run.saga:
                return saga
    raise ConfigurationError(
        f"nobody here takes part in saga {run.saga!r}",
        hint="name the modules or manifests of which the trace was written",
    )
