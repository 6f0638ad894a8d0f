"""The cells of a failure matrix: each handler with each applicable fault, and the failures it requires."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import NamedTuple

from choreo.events import event, event_name
from choreo.graph import derive
from choreo.outcome import COMPENSATABLE, RETRIABLE, START
from choreo.participant import Context, Handler, Participant
from choreo.protocol import Trigger
from choreo.saga import Saga
from choreo.testing.faults import (
    FAULTS,
    BrokenStore,
    CrashBeforeCommit,
    CrashBeforePublish,
    Duplicate,
    Fault,
    LateReply,
    LateTimeout,
    LostReply,
    PermanentFailure,
    Poison,
    Takeover,
    Timeout,
    TransientFailure,
)

_ANY: tuple[type[Fault], ...] = (PermanentFailure, TransientFailure, CrashBeforeCommit, BrokenStore)
_BY_EVENT: tuple[type[Fault], ...] = (Takeover, Duplicate, Poison)
"""These strike the event that calls the handler."""

_OVERDUE = timedelta(seconds=1)


RELEASE = "release"
"""The kind of the cases in which participants are replaced by their next releases."""

KINDS = (*FAULTS, RELEASE)
"""The kinds of cases, but for the calm one, in the order of a matrix."""


class Strike(NamedTuple):
    """A fault and the handler that it strikes."""

    fault: type[Fault]
    target: Handler


class Cell(NamedTuple):
    """One case of a matrix: a fault, its handler, and the failures that cause the handler's call.

    ``is_release``: participants are replaced by their next releases meanwhile.
    """

    name: str
    strikes: tuple[Strike, ...]
    is_release: bool = False

    @property
    def kind(self) -> str:
        """The fault's kind, ``"release"``, or empty for the calm case."""
        if self.is_release:
            return RELEASE
        return self.strikes[-1].fault.kind if self.strikes else ""

    @property
    def target(self) -> Handler | None:
        """The handler that the fault strikes."""
        return self.strikes[-1].target if self.strikes else None

    @property
    def watched(self) -> tuple[Handler, ...]:
        """The steps with a late reply or a late timeout, which require a deadline."""
        late = (strike for strike in self.strikes if strike.fault in (LateReply, LateTimeout))
        return tuple(strike.target for strike in late)

    def faults(self) -> list[Fault]:
        """Return new faults, none of which has struck yet."""
        return [strike.fault(strike.target) for strike in self.strikes]


def cells_of(participants: Sequence[Participant]) -> list[Cell]:
    """Return the matrix: a calm case, then every handler with every applicable fault, then the releases.

    Releases come while the saga goes well, and while it is rolled back from each action that can fail.

    Not applicable are a timeout where there is none, a late reply of a step without a possible deadline, and
    a handler that nothing in these participants can call.
    """
    derive(participants)
    declared = ((each, handler) for each in participants for handler in each.handlers)
    # A saga that starts now is of the newest version.
    of_newest = (each for each in declared if each[1].versions.includes(each[1].saga.version))
    handlers = _in_order([_resolved(*each) for each in of_newest])
    names = _Names(handlers)
    cells = [Cell("calm", ())]
    for handler in handlers:
        before = _required_failures(handler, handlers)
        if before is None:
            continue
        for fault in _faults_for(handler, handlers, before):
            cells.append(Cell(f"{names.of(handler)}-{fault.kind}", (*before, Strike(fault, handler))))
    cells.append(Cell(f"calm-{RELEASE}", (), is_release=True))
    failing = (each for each in handlers if each.task == "action" and each.kind != RETRIABLE)
    for handler in failing:
        strikes = (Strike(PermanentFailure, handler),)
        cells.append(Cell(f"{names.of(handler)}-{RELEASE}", strikes, is_release=True))
    return cells


def _resolved(participant: Participant, handler: Handler) -> Handler:
    """Return a compensation that names no event with its derived trigger."""
    if not handler.derived:
        return handler
    action = participant.roles()[handler.saga.name].action[handler.step]
    own = [each for each in action.compensations if not handler.results or each.results <= handler.results]
    return replace(handler, trigger=Trigger.any_of(*(each.trigger for each in own)))


def _faults_for(handler: Handler, handlers: Sequence[Handler], before: Sequence[Strike]) -> list[type[Fault]]:
    """Return the applicable faults of a handler, in the order of a matrix."""
    wanted = {*_ANY}
    if handler.task != "observer":
        wanted.add(CrashBeforePublish)
    if handler.trigger and not any(strike.fault is LateReply for strike in before):
        wanted.update(_BY_EVENT)
    if handler.task == "deadline":
        wanted.update(_BY_EVENT)
    if handler.partial and len(handler.emits) > len(handler.successes) and handler.retry.attempts != 1:
        wanted.add(LostReply)
    if handler.task == "action" and handler.timeout is not None:
        wanted.add(Timeout)
    if handler.task == "action" and _can_be_late(handler, handlers):
        wanted.update((LateReply, LateTimeout))
    return [fault for fault in FAULTS.values() if fault in wanted]


def _required_failures(handler: Handler, handlers: Sequence[Handler]) -> tuple[Strike, ...] | None:
    """Return the failures that cause a handler's call; None where nothing can call it."""
    if handler.task == "compensation":
        return _abort(handler.step, handlers)
    if handler.task == "deadline":
        watched = _action(handler.step, handlers)
        return (Strike(LateReply, watched),) if watched else None
    if handler.task == "observer":
        ways = [_emission(name, handlers) for name in sorted(handler.trigger.types)]
        found = [way for way in ways if way is not None]
        return min(found, key=len, default=None)
    return ()


def _abort(step: str, handlers: Sequence[Handler]) -> tuple[Strike, ...] | None:
    """Return the failure that calls a step's compensation: of a successor, or by a deadline on the step."""
    action = _action(step, handlers)
    results = action.successes if action else {event_name(handlers[0].saga.starts)}
    for next_one in handlers:
        can_fail = next_one.task == "action" and next_one.kind != RETRIABLE
        if can_fail and not next_one.trigger.types.isdisjoint(results):
            return (Strike(PermanentFailure, next_one),)
    if action and _can_be_late(action, handlers):
        return (Strike(LateReply, action),)
    return None


def _emission(name: str, handlers: Sequence[Handler]) -> tuple[Strike, ...] | None:
    """Return the failures that cause an event; None where nothing emits it."""
    if any(name == event_name(handler.saga.starts) for handler in handlers):
        return ()
    for handler in handlers:
        if name in handler.emits and handler.task == "action":
            return () if name in handler.successes else (Strike(PermanentFailure, handler),)
        if name in handler.emits:
            return _required_failures(handler, handlers)
    return None


def _can_be_late(action: Handler, handlers: Sequence[Handler]) -> bool:
    """Whether a step may be timed out by a deadline: one is declared, or its compensation admits one."""
    if action.kind != COMPENSATABLE:
        return False
    if is_watched(action, handlers):
        return True
    undos = [each for each in handlers if each.task == "compensation" and each.step == action.step]
    parameters = [parameter for undo in undos for parameter in undo.event_parameters]
    return all(parameter.admits_aborted or parameter.optional for parameter in parameters)


def is_watched(action: Handler, handlers: Iterable[Handler]) -> bool:
    """Whether a participant declares a deadline on a step."""
    return any(each.task == "deadline" and each.step == action.step for each in handlers)


def watcher(action: Handler) -> Participant:
    """Return a new participant that declares a deadline on a step."""
    saga: Saga = action.saga

    class Overdue:
        """The step has not answered in time."""

        saga_id: str

    overdue = event(namespace=saga.namespaces[0], name="ChoreoOverdue")(Overdue)
    made = Participant("watcher", sagas=[saga])

    def is_late(ctx: Context) -> object:
        return overdue(ctx.saga_id)  # type: ignore[call-arg]

    is_late.__annotations__ = {"ctx": Context, "return": overdue}
    made.deadline(of=action.step, after=saga.starts, within=_OVERDUE)(is_late)
    return made


def _in_order(handlers: Sequence[Handler]) -> list[Handler]:
    """Return actions in causal order, each followed by its compensation, then deadlines and observers."""
    actions = [handler for handler in handlers if handler.task == "action"]
    known = {event_name(handler.saga.starts) for handler in handlers}
    sorted_actions: list[Handler] = []
    while actions:
        ready = [handler for handler in actions if handler.trigger.touched(known)] or actions
        sorted_actions += ready
        known.update(name for handler in ready for name in handler.successes)
        actions = [handler for handler in actions if handler not in ready]
    return [*_with_undo(sorted_actions, handlers)]


def _with_undo(actions: Iterable[Handler], handlers: Sequence[Handler]) -> Iterator[Handler]:

    for action in actions:
        yield action
        yield from (each for each in handlers if each.task == "compensation" and each.step == action.step)

    yield from (each for each in handlers if each.task == "compensation" and each.step == START)
    yield from (each for each in handlers if each.task in ("deadline", "observer"))


def _action(step: str, handlers: Iterable[Handler]) -> Handler | None:
    return next((each for each in handlers if each.task == "action" and each.step == step), None)


class _Names:
    """Short names of handlers: the function's name, where no two participants have one of that name."""

    def __init__(self, handlers: Iterable[Handler]) -> None:
        short = [handler.name.partition(".")[2] for handler in handlers]
        self._twice = {name for name in short if short.count(name) > 1}

    def of(self, handler: Handler) -> str:
        """Return a handler's short name."""
        short = handler.name.partition(".")[2]
        return handler.name if short in self._twice else short
