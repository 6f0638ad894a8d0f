"""Faults: what may go wrong with a handler; each strikes its handler once."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, ClassVar

from choreo.cloudevents import read
from choreo.errors import Permanent
from choreo.outcome import SUCCEEDED, TIMED_OUT
from choreo.participant import Context, Handler
from choreo.ports import Publication
from choreo.records import DeadLetter, Record, SagaKey
from choreo.testing.fakes import fake_event
from choreo.testing.process import Process, World

_SPOILED = b"this is no event"


class Fault:
    """A fault of one handler, ``target``; each subclass is one kind.

    ``words`` say what happens to the target.
    ``has_struck``: it has occurred; a test whose fault never struck proves nothing.
    ``lets_go``: it holds no publication back any more, as the event that it waits for can't come.
    ``makes_letters``: the target becomes a dead letter, and continues once that is requeued.
    """

    kind: ClassVar[str] = ""
    words: ClassVar[str] = ""
    makes_letters: ClassVar[bool] = False

    def __init__(self, target: Handler) -> None:
        self.target = target
        self.has_struck = False
        self.lets_go = False

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.target.name})"

    def __str__(self) -> str:
        return f"{self.target.name} {self.words}"

    def strikes(self) -> bool:
        """Strike, unless it has struck already, and return whether it did."""
        first, self.has_struck = not self.has_struck, True
        return first

    def before(self, process: Process) -> None:
        """Act before the target is called."""

    def instead(self, given: Sequence[Any]) -> Any:
        """Return what the target returns without being called with ``given``, None where it is called."""

    def after(self, process: Process) -> Any:
        """Act after the target has returned: raise, or return an awaitable for a coroutine."""

    def holds(self, process: Process, publication: Publication) -> bool:
        """Whether a publication must stay in flight."""
        return False

    def spoil(self, publication: Publication) -> Publication:
        """Return the publication as it arrives."""
        return publication

    def arrived(self, world: World, record: Record) -> None:
        """Act on a record that is now in the log."""

    def taken(self, process: Process, record: Record) -> None:
        """Act on a record that a worker has taken, before its turn begins."""

    def goes_on(self, world: World) -> bool:
        """Act once the simulation is at rest, and return whether anything was done."""
        return False

    def mends(self, letter: DeadLetter) -> bytes | None:
        """Return the body that a dead letter needs instead of its own, or None."""
        return None

    def calls_target(self, record: Record) -> bool:
        """Whether a record's event is part of the target's trigger."""
        return dict(record.headers)["ce_type"] in {name.encode() for name in self.target.trigger.types}


class _Raises(Fault):
    """Raises once, after the handler has done its work, so that its transaction must be rolled back.

    For an action whose failed attempts have no effects (``partial=False``) it raises before the work.
    """

    def before(self, process: Process) -> None:
        """Raise, where a failed attempt must have no effects."""
        clean = self.target.is_outside and self.target.task == "action" and not self.target.partial
        if clean and self.strikes():
            raise self.error()

    def after(self, process: Process) -> Any:
        """Raise, otherwise."""
        if self.strikes():
            raise self.error()

    def error(self) -> Exception:
        """Return the error to raise."""
        raise NotImplementedError


class PermanentFailure(_Raises):
    """The handler raises `Permanent`: an action fails; any other handler becomes a dead letter, and continues
    once that is requeued."""

    kind = "permanent"
    words = "raises Permanent"
    makes_letters = True

    def error(self) -> Exception:
        """Return a permanent error."""
        return Permanent("the test lets it fail")


class TransientFailure(_Raises):
    """The first attempt raises a temporary error; a retry has to succeed."""

    kind = "transient"
    words = "raises once"

    def error(self) -> Exception:
        """Return a temporary error."""
        return ConnectionError("the test lets it fail once")


class LostReply(Fault):
    """The first attempt takes effect and raises, as its reply is lost; the second returns the failure."""

    kind = "lost_reply"
    words = "takes effect and raises, then returns the failure"

    def __init__(self, target: Handler) -> None:
        super().__init__(target)
        self._raised: set[str] = set()
        self._saga_id = ""

    def instead(self, given: Sequence[Any]) -> Any:
        """Return the failure, once an attempt has raised."""
        self._saga_id = next((each.saga_id for each in given if isinstance(each, Context)), "")
        if self._saga_id not in self._raised or not self.strikes():
            return None
        events = (each for each in given if each is not None and not isinstance(each, Context))
        return fake_event(next(iter(self.target.fails)), events)

    def after(self, process: Process) -> Any:
        """Raise, after the first attempt."""
        if not self.has_struck and self._saga_id not in self._raised:
            self._raised.add(self._saga_id)
            raise ConnectionError("the test lets its reply be lost")


class Timeout(Fault):
    """The step's own timeout passes: its process does nothing until then, or its call hangs."""

    kind = "timeout"
    words = "misses its own timeout"

    def arrived(self, world: World, record: Record) -> None:
        """Let the target's process do nothing until the timeout has passed."""
        if self.target.runs != "coroutine" and self.calls_target(record):
            self.has_struck = True
            process = world.processes[self.target.name.partition(".")[0]]
            process.rests_until = record.timestamp + _milliseconds(self.target.timeout) + 1

    def after(self, process: Process) -> Any:
        """Return a future that never ends."""
        if self.target.runs == "coroutine" and self.strikes():
            return asyncio.get_running_loop().create_future()
        return None


class LateReply(Fault):
    """The step succeeds, but a deadline passes before the log has its answer."""

    kind = "late_reply"
    words = "answers after a deadline"

    def __init__(self, target: Handler) -> None:
        super().__init__(target)
        self._is_timed_out: set[SagaKey] = set()

    def holds(self, process: Process, publication: Publication) -> bool:
        """Hold the success back until the step is timed out."""
        if process.name != self.target.name.partition(".")[0]:
            return False
        headers = dict(publication.headers)
        late = headers["ce_step"].decode() == self.target.step and headers["ce_outcome"] == SUCCEEDED.encode()
        return late and _saga_of(headers) not in self._is_timed_out

    def arrived(self, world: World, record: Record) -> None:
        """Register that the step is timed out."""
        envelope = read(record)
        if envelope.step == self.target.step and envelope.outcome == TIMED_OUT:
            self._is_timed_out.add(SagaKey(envelope.saga_id, envelope.saga_type))
            self.has_struck = True


class LateTimeout(Fault):
    """The deadline passes on a step that has succeeded: its answer comes just before the timeout."""

    kind = "late_timeout"
    words = "answers just before a deadline"

    def __init__(self, target: Handler) -> None:
        super().__init__(target)
        self._has_fired: set[SagaKey] = set()
        self._has_answered: set[SagaKey] = set()

    def holds(self, process: Process, publication: Publication) -> bool:
        """Hold the success back until the timeout is in flight, and the timeout until the success arrives."""
        headers = dict(publication.headers)
        if headers["ce_step"].decode() != self.target.step:
            return False
        saga, outcome = _saga_of(headers), headers["ce_outcome"].decode()
        if outcome == TIMED_OUT:
            self._has_fired.add(saga)
            return saga not in self._has_answered
        return outcome == SUCCEEDED and saga not in self._has_fired

    def arrived(self, world: World, record: Record) -> None:
        """Register that the step has succeeded."""
        envelope = read(record)
        if envelope.step == self.target.step and envelope.outcome == SUCCEEDED:
            self._has_answered.add(SagaKey(envelope.saga_id, envelope.saga_type))
            self.has_struck = True


class CrashBeforeCommit(Fault):
    """The process ends when the handler has done its work, before the commit."""

    kind = "crash_before_commit"
    words = "loses its process before the commit"

    def after(self, process: Process) -> Any:
        """Let the process end at the end of the turn, or of the call."""
        if self.strikes():
            if self.target.is_outside:
                process.is_doomed = True
            else:
                process.faulty_store.crashes_at = "commit"


class CrashBeforePublish(Fault):
    """The process ends when the handler's work is committed and its event is not published yet."""

    kind = "crash_before_publish"
    words = "loses its process before its event is published"

    def after(self, process: Process) -> Any:
        """Let the process end once the turn is committed."""
        if self.strikes():
            process.faulty_store.crashes_at = "publish"


class Takeover(Fault):
    """The process stalls after taking the handler's event; another one takes over; then it continues."""

    kind = "takeover"
    words = "stalls with its event, and another process takes over"

    def taken(self, process: Process, record: Record) -> None:
        """Stall the process."""
        if self.calls_target(record) and self.strikes():
            process.stall()


class Duplicate(Fault):
    """The event that calls the handler comes twice at once, and again at the end."""

    kind = "duplicate"
    words = "gets its event three times"

    def __init__(self, target: Handler) -> None:
        super().__init__(target)
        self._records: list[Record] = []

    def arrived(self, world: World, record: Record) -> None:
        """Repeat the record."""
        if self.calls_target(record):
            self.has_struck = True
            self._records.append(record)
            world.broker.repeat(record)

    def goes_on(self, world: World) -> bool:
        """Repeat it once more."""
        records, self._records = self._records, []
        for record in records:
            world.broker.repeat(record)
        return bool(records)


class Poison(Fault):
    """The event that calls the handler is unreadable; its dead letters are edited and requeued."""

    kind = "poison"
    words = "gets an event that can't be read"
    makes_letters = True

    def __init__(self, target: Handler) -> None:
        super().__init__(target)
        self._whole: dict[str, bytes] = {}

    def spoil(self, publication: Publication) -> Publication:
        """Return the first such publication with an unreadable body."""
        headers = dict(publication.headers)
        if headers["ce_type"].decode() not in self.target.trigger.types or self.has_struck:
            return publication
        self.has_struck = True
        self._whole[headers["ce_id"].decode()] = publication.value
        return publication._replace(value=_SPOILED)

    def mends(self, letter: DeadLetter) -> bytes | None:
        """Return the event's own body."""
        return self._whole.get(letter.event_id)


class BrokenStore(Fault):
    """The store can't write the handler's result, so that its process ends and restarts."""

    kind = "store_error"
    words = "can't write to its database"

    def after(self, process: Process) -> Any:
        """Make the next write fail."""
        if self.strikes():
            process.faulty_store.breaks = True


FAULTS: dict[str, type[Fault]] = {
    fault.kind: fault
    for fault in (
        PermanentFailure,
        TransientFailure,
        LostReply,
        Timeout,
        LateReply,
        LateTimeout,
        CrashBeforeCommit,
        CrashBeforePublish,
        Takeover,
        Duplicate,
        Poison,
        BrokenStore,
    )
}
"""Every fault, by its kind, in the order of a matrix."""


def _saga_of(headers: Mapping[str, bytes]) -> SagaKey:
    return SagaKey(headers["ce_subject"].decode(), headers["ce_sagatype"].decode())


def _milliseconds(time: timedelta | None) -> int:
    return round(time.total_seconds() * 1000) if time else 0
