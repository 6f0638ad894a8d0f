"""Faults: each strikes one handler once, at a moment of its own."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING, Any, ClassVar

from choreo.cloudevents import read
from choreo.errors import Permanent
from choreo.outcome import SUCCEEDED, TIMED_OUT
from choreo.participant import Handler
from choreo.ports import Publication
from choreo.records import DeadLetter, Record

if TYPE_CHECKING:
    from choreo.testing.seat import Seat
    from choreo.testing.simulation import Simulation

_SPOILED = b"this is no event"


class Fault:
    """Something that goes wrong with one handler, ``target``; a subclass says what.

    ``has_struck`` says that it has happened: a test whose fault never struck has shown nothing.
    ``lets_go``: nothing that it waits for will happen any more, so it holds nothing back.
    ``makes_letters``: what it strikes ends in the dead letters, and goes on once they are requeued.
    """

    kind: ClassVar[str] = ""
    makes_letters: ClassVar[bool] = False

    def __init__(self, target: Handler) -> None:
        self.target = target
        self.has_struck = False
        self.lets_go = False

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.target.name})"

    def strikes(self) -> bool:
        """Strike, unless that has happened; say whether it did."""
        first, self.has_struck = not self.has_struck, True
        return first

    def before(self, seat: Seat) -> None:
        """Be told that the target is about to be called."""

    def after(self, seat: Seat) -> Any:
        """Be told that the target has returned; may raise, or give what a coroutine is to await."""

    def holds(self, seat: Seat, publication: Publication) -> bool:
        """Say whether a publication must stay in flight."""
        return False

    def spoil(self, publication: Publication) -> Publication:
        """Give what arrives of a publication."""
        return publication

    def arrived(self, simulation: Simulation, record: Record) -> None:
        """Be told that a record is in the log."""

    def taken(self, seat: Seat, record: Record) -> None:
        """Be told that a worker has taken a record, and not begun its turn."""

    def goes_on(self, simulation: Simulation) -> bool:
        """Do what is to happen once nothing moves any more; say whether anything did."""
        return False

    def mends(self, letter: DeadLetter) -> bytes | None:
        """Give the body that a dead letter needs instead of its own."""
        return None

    def calls_target(self, record: Record) -> bool:
        """Say whether a record is of an event that plays a part in calling the target."""
        return dict(record.headers)["ce_type"] in {name.encode() for name in self.target.trigger.types}


class _Raises(Fault):
    """Raises once, after the handler has done its work: what it did inside is to be rolled back.

    An action that says that an attempt leaves nothing behind (``partial=False``) raises before it.
    """

    def before(self, seat: Seat) -> None:
        """Raise, where nothing may be left behind."""
        clean = self.target.is_outside and self.target.task == "action" and not self.target.partial
        if clean and self.strikes():
            raise self.error()

    def after(self, seat: Seat) -> Any:
        """Raise, otherwise."""
        if self.strikes():
            raise self.error()

    def error(self) -> Exception:
        """Give what is raised."""
        raise NotImplementedError


class PermanentFailure(_Raises):
    """The handler raises `Permanent`: an action fails; a compensation, a deadline or an observer becomes a
    dead letter, and goes on once that is requeued."""

    kind = "permanent"
    makes_letters = True

    def error(self) -> Exception:
        """Give the error that no retry can mend."""
        return Permanent("the test lets it fail")


class TransientFailure(_Raises):
    """The first attempt raises an error that passes; the handler's retry has to do."""

    kind = "transient"

    def error(self) -> Exception:
        """Give an error that passes."""
        return ConnectionError("the test lets it fail once")


class Timeout(Fault):
    """The step's own time is over: its process rests until then, or the call that it has made hangs."""

    kind = "timeout"

    def arrived(self, simulation: Simulation, record: Record) -> None:
        """Let the target's process rest until it is too late."""
        if self.target.runs != "coroutine" and self.calls_target(record):
            self.has_struck = True
            seat = simulation.seats[self.target.name.partition(".")[0]]
            seat.rests_until = record.timestamp + _milliseconds(self.target.timeout) + 1

    def after(self, seat: Seat) -> Any:
        """Let the call hang."""
        if self.target.runs == "coroutine" and self.strikes():
            return asyncio.get_running_loop().create_future()
        return None


class LateReply(Fault):
    """The step succeeds, but a deadline passes before the log has its answer."""

    kind = "late_reply"

    def __init__(self, target: Handler) -> None:
        super().__init__(target)
        self._is_timed_out: set[str] = set()

    def holds(self, seat: Seat, publication: Publication) -> bool:
        """Keep the success until the step is timed out."""
        if seat.name != self.target.name.partition(".")[0]:
            return False
        headers = dict(publication.headers)
        late = headers["ce_step"].decode() == self.target.step and headers["ce_outcome"] == SUCCEEDED.encode()
        return late and headers["ce_subject"].decode() not in self._is_timed_out

    def arrived(self, simulation: Simulation, record: Record) -> None:
        """Note that it is."""
        envelope = read(record)
        if envelope.step == self.target.step and envelope.outcome == TIMED_OUT:
            self._is_timed_out.add(envelope.saga_id)
            self.has_struck = True


class LateTimeout(Fault):
    """The deadline passes on a step that has succeeded: its answer comes just before the timeout."""

    kind = "late_timeout"

    def __init__(self, target: Handler) -> None:
        super().__init__(target)
        self._has_fired: set[str] = set()
        self._has_answered: set[str] = set()

    def holds(self, seat: Seat, publication: Publication) -> bool:
        """Keep the success until the timeout is on its way, and the timeout until the success is there."""
        headers = {name: value.decode() for name, value in publication.headers}
        if headers["ce_step"] != self.target.step:
            return False
        saga_id, outcome = headers["ce_subject"], headers["ce_outcome"]
        if outcome == TIMED_OUT:
            self._has_fired.add(saga_id)
            return saga_id not in self._has_answered
        return outcome == SUCCEEDED and saga_id not in self._has_fired

    def arrived(self, simulation: Simulation, record: Record) -> None:
        """Note that the step has answered."""
        envelope = read(record)
        if envelope.step == self.target.step and envelope.outcome == SUCCEEDED:
            self._has_answered.add(envelope.saga_id)
            self.has_struck = True


class CrashBeforeCommit(Fault):
    """The process ends when the handler has done its work, and nothing of it is committed."""

    kind = "crash_before_commit"

    def after(self, seat: Seat) -> Any:
        """End the process at the end of the turn, or of the call."""
        if self.strikes():
            if self.target.is_outside:
                seat.is_doomed = True
            else:
                seat.fragile.crashes_at = "commit"


class CrashBeforePublish(Fault):
    """The process ends when the handler's work is committed, and nobody has been told of it."""

    kind = "crash_before_publish"

    def after(self, seat: Seat) -> Any:
        """End the process once the turn is committed."""
        if self.strikes():
            seat.fragile.crashes_at = "publish"


class Takeover(Fault):
    """The process stalls with the handler's event in its hands; another takes over; then it goes on."""

    kind = "takeover"

    def taken(self, seat: Seat, record: Record) -> None:
        """Stall the process."""
        if self.calls_target(record) and self.strikes():
            seat.stall()


class Duplicate(Fault):
    """The event that calls the handler comes twice at once, and again when all is over."""

    kind = "duplicate"

    def __init__(self, target: Handler) -> None:
        super().__init__(target)
        self._records: list[Record] = []

    def arrived(self, simulation: Simulation, record: Record) -> None:
        """Repeat the record."""
        if self.calls_target(record):
            self.has_struck = True
            self._records.append(record)
            simulation.broker.repeat(record)

    def goes_on(self, simulation: Simulation) -> bool:
        """Repeat it once more."""
        records, self._records = self._records, []
        for record in records:
            simulation.broker.repeat(record)
        return bool(records)


class Poison(Fault):
    """Nobody can read the event that calls the handler: dead letters, which are mended and requeued."""

    kind = "poison"
    makes_letters = True

    def __init__(self, target: Handler) -> None:
        super().__init__(target)
        self._whole: dict[str, bytes] = {}

    def spoil(self, publication: Publication) -> Publication:
        """Spoil the first event of that kind."""
        headers = dict(publication.headers)
        if headers["ce_type"].decode() not in self.target.trigger.types or self.has_struck:
            return publication
        self.has_struck = True
        self._whole[headers["ce_id"].decode()] = publication.value
        return publication._replace(value=_SPOILED)

    def mends(self, letter: DeadLetter) -> bytes | None:
        """Give what the event was."""
        return self._whole.get(letter.event_id)


class BrokenStore(Fault):
    """The store can't write what the handler led to: its process ends, and starts anew."""

    kind = "store_error"

    def after(self, seat: Seat) -> Any:
        """Let the next write fail."""
        if self.strikes():
            seat.fragile.breaks = True


FAULTS: dict[str, type[Fault]] = {
    fault.kind: fault
    for fault in (
        PermanentFailure,
        TransientFailure,
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


def _milliseconds(time: timedelta | None) -> int:
    return round(time.total_seconds() * 1000) if time else 0
