"""Checks of one declared participant or handler; each refusal has a hint."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence

from choreo.errors import DeclarationError
from choreo.events import Aborted, event_name
from choreo.outcome import COMPENSATABLE, RETRIABLE, START
from choreo.participant.answers import calls_of, refuse_unanswerable
from choreo.participant.clashes import refuse_twice
from choreo.participant.handler import Handler, Parameter, Task
from choreo.participant.options import Options
from choreo.protocol import Trigger
from choreo.retry import Retry
from choreo.saga import Saga, Versions

_NAME = re.compile(r"[a-z][a-z0-9_-]{0,63}")


def refuse_bad_values(name: object, sagas: object, retry: object, prepare: object, session: object) -> None:
    """Refuse a participant with a bad name, or with an option of another type."""
    where = f"Participant({name!r})"
    if not (isinstance(name, str) and _NAME.fullmatch(name)):
        raise DeclarationError(
            f"{where}: not a participant's name",
            hint="a small letter, then small letters, digits, '_' and '-', 64 at most",
        )
    if not isinstance(sagas, Iterable):
        raise DeclarationError(f"{where}: sagas={sagas!r} is not a list", hint="sagas=[order_fulfilment]")
    if retry is not None and not isinstance(retry, Retry):
        raise DeclarationError(f"{where}: retry={retry!r} is not a Retry", hint="retry=Retry(attempts=3)")
    if prepare is not None and not callable(prepare):
        raise DeclarationError(f"{where}: prepare={prepare!r} can't be called", hint="def prepare(db): …")
    if session is None:
        return
    if isinstance(session, str):
        return
    if not callable(session) or hasattr(getattr(session, "class_", session), "run_sync"):
        raise DeclarationError(
            f"{where}: session={session!r} opens no session for a plain function",
            hint="session=SessionLocal, where SessionLocal = sessionmaker(engine) of SQLAlchemy's, or the "
            "alias of a Django database",
        )


def refuse_bad_sagas(name: str, sagas: tuple[object, ...]) -> None:
    """Refuse sagas that are none, not of type `Saga`, or share a name or a topic."""
    where = f"Participant({name!r})"
    if not sagas:
        raise DeclarationError(f"{where}: it takes part in no saga", hint="give sagas=[…]")
    for saga in sagas:
        if not isinstance(saga, Saga):
            raise DeclarationError(f"{where}: {saga!r} is not a Saga", hint="give sagas=[order_fulfilment]")
    for attribute in ("name", "topic"):
        refuse_twice(where, [getattr(saga, attribute) for saga in sagas])


def refuse(handler: Handler) -> None:
    """Refuse a handler that could not work, independent of the participant's other handlers."""
    _refuse_own_former_name(handler)
    _refuse_emitted(handler)
    _refuse_own_earlier(handler)
    _OF_TASK[handler.task](handler)


def _refuse_own_former_name(handler: Handler) -> None:
    if handler.name in handler.names[1:]:
        name = handler.name.partition(".")[2]
        raise DeclarationError(
            f"formerly: {name!r} is its name of today",
            hint="give the other names that it had: rows of its own name are its own in any case",
        )


def _refuse_own_earlier(handler: Handler) -> None:
    own = sorted(handler.earlier & set(handler.emits))
    if own:
        raise DeclarationError(
            f"{own[0]} can't come before the handler that emits it", hint="drop it from Earlier[…]"
        )


def refuse_foreign(saga: Saga, cls: type) -> None:
    """Refuse an event outside of the saga's namespaces."""
    if cls is not Aborted and not saga.owns(cls):
        raise DeclarationError(
            saga.foreign(cls), hint="declare the event in that namespace, or add its to Saga(namespaces=…)"
        )


def refuse_uncallable(
    saga: Saga, parameters: tuple[Parameter, ...], callers: Sequence[type], trigger: Trigger
) -> None:
    """Refuse a trigger with an event of another saga, or one that leaves an event parameter empty."""
    for cls in callers:
        refuse_foreign(saga, cls)
    for parameter in parameters:
        if parameter.is_caller:
            _refuse_unfilled(parameter, callers, trigger)
        elif parameter.is_earlier:
            _refuse_never_earlier(saga, parameter)


def _refuse_never_earlier(saga: Saga, parameter: Parameter) -> None:
    for cls in parameter.classes:
        refuse_foreign(saga, cls)
        if cls is Aborted:
            raise DeclarationError(
                "Aborted is never in the log, so it never came earlier",
                hint=f"annotate {parameter.name} with Aborted alone, in a compensation",
            )


def _refuse_unfilled(parameter: Parameter, callers: Sequence[type], trigger: Trigger) -> None:
    if not set(parameter.classes) <= {*callers, Aborted}:
        raise DeclarationError(
            f"parameter {parameter.name!r} takes events that on= does not name",
            hint="name them in on=, or drop them from the annotation",
        )
    others = trigger.alternative(trigger.types.difference(parameter.types))
    if others:
        _refuse_empty(parameter, others)
    if Aborted in callers:
        _refuse_empty(parameter, frozenset())


def _refuse_empty(parameter: Parameter, call: frozenset[str]) -> None:
    """Refuse a parameter that a call leaves empty; the empty call is the one by `Aborted`."""
    filled = not call.isdisjoint(parameter.types) if call else parameter.admits_aborted
    if not filled and not parameter.optional:
        raise DeclarationError(
            f"parameter {parameter.name!r} is empty when {' and '.join(sorted(call)) or 'Aborted'} calls it",
            hint=f"annotate it with … | {'None' if call else 'Aborted'}, or join the events with all_of",
        )


def refuse_final(action: Handler) -> None:
    """Refuse a compensation of a pivot or a retriable action, which is never called."""
    if action.kind != COMPENSATABLE:
        raise DeclarationError(
            f"{action.name} is {action.kind}: it is never compensated", hint="drop the compensation"
        )


def refuse_unwatchable(action: Handler) -> None:
    """Refuse a deadline on a step that can't be compensated."""
    if action.kind != COMPENSATABLE:
        raise DeclarationError(
            f"{action.name} is {action.kind}: nobody may time it out, as it can't be undone",
            hint="give a pivot a timeout= of its own, or drop the deadline",
        )


def versions_of(saga: Saga, step: str, of_step: Versions, options: Options) -> Versions:
    """Return the versions of a handler of a step, which takes part in those of the step at most.

    Raises `DeclarationError` where the saga has not come to them, or the step is in none of them.
    """
    declared = options.versions
    if declared.since > saga.version:
        raise DeclarationError(
            f"since={declared.since}, but {saga!r} is of version {saga.version}",
            hint=f"Saga({saga.name!r}, …, version={declared.since}): each start stamps its saga with it",
        )
    both = declared.both(of_step)
    if both is None:
        raise DeclarationError(
            f"it is of {declared} of the saga, but {step} is of {of_step}", hint="give both the same versions"
        )
    return both


def refuse_bad_step(step: str) -> None:
    """Refuse a text that can't be the full name of a step, ``participant.function``."""
    participant, _, function = step.partition(".")
    if not participant or not function.isidentifier():
        raise DeclarationError(
            f"of={step!r} is not the name of a step", hint='for example of="payments.charge"'
        )


def _refuse_bad_deadline(handler: Handler) -> None:
    _refuse_aborted(handler)
    if len(handler.emits) != 1:
        raise DeclarationError(
            "a deadline returns one event, which says that the step had no outcome in time",
            hint="annotate that one, for example -> PaymentTimedOut",
        )


def _refuse_bad_action(handler: Handler) -> None:
    _refuse_aborted(handler)
    _refuse_bad_failures(handler)
    if not handler.successes:
        raise DeclarationError("it returns no success event", hint="annotate what it returns: -> Reserved")
    if handler.fails:
        refuse_unanswerable(handler.fails[0], handler.answer, *calls_of(handler))


def _refuse_bad_failures(handler: Handler) -> None:
    if handler.kind != RETRIABLE and not handler.fails:
        raise DeclarationError(
            f"a {handler.kind} action needs a failure event: it answers with it when it is refused",
            hint="give fails=…, or kind='retriable' for one that can't fail",
        )
    if handler.kind == RETRIABLE and (handler.fails or handler.answer):
        raise DeclarationError(
            "a retriable action can't fail",
            hint=f"drop {'fails' if handler.fails else 'answer'}=, or choose another kind",
        )


def _refuse_bad_observer(handler: Handler) -> None:
    _refuse_aborted(handler)
    if handler.emits:
        raise DeclarationError(
            f"an observer returns nothing, not {next(iter(handler.emits))}", hint="make it an action"
        )
    if handler.trigger.is_join:
        raise DeclarationError(
            "an observer sees each event when it comes, and waits for no other",
            hint="take one parameter, event: A | B, and what came before as Earlier[A] | None",
        )


def _refuse_aborted(handler: Handler) -> None:
    if Aborted in handler.callers:
        raise DeclarationError(
            f"Aborted calls no {handler.task}, only compensations",
            hint="name the event that calls it, for example the saga's fails event",
        )


def _refuse_bad_compensation(handler: Handler) -> None:
    if len(handler.emits) != 1:
        raise DeclarationError(
            "a compensation always ends in one event, its compensated one",
            hint="annotate that one, for example -> Released",
        )
    if handler.step == START:
        answer = next(iter(handler.emits.values()))
        _refuse_other_end(handler.saga, answer)
        refuse_unanswerable(answer, handler.answer, (handler.saga.starts,), 1)


def _refuse_other_end(saga: Saga, answer: type) -> None:
    if answer is not saga.fails:
        raise DeclarationError(
            f"the compensation of the start ends the saga in {event_name(saga.fails)}, "
            f"not in {event_name(answer)}",
            hint=f"-> {saga.fails.__name__}",
        )


def _refuse_emitted(handler: Handler) -> None:
    """Refuse events that choreo, the start or a cancellation emits, and events of another saga."""
    saga = handler.saga
    owners = {Aborted: "choreo", saga.starts: "whoever starts the saga", saga.aborts: "whoever cancels it"}
    for name, cls in handler.emits.items():
        if cls in owners:
            raise DeclarationError(
                f"{name} is given by {owners[cls]}, not by a handler", hint="return an event of its own"
            )
        refuse_foreign(saga, cls)


_OF_TASK: dict[Task, Callable[[Handler], None]] = {
    "action": _refuse_bad_action,
    "compensation": _refuse_bad_compensation,
    "observer": _refuse_bad_observer,
    "deadline": _refuse_bad_deadline,
}
