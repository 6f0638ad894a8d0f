"""What a declaration is refused for, each with a hint; `Participant` adds the place."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Sequence
from datetime import timedelta
from difflib import get_close_matches
from typing import Any

from choreo.errors import DeclarationError
from choreo.event import Aborted, event_name, is_event
from choreo.outcome import COMPENSATABLE, PIVOT, RETRIABLE
from choreo.participant.answer import missing_fields
from choreo.participant.handler import Handler, Parameter, Task
from choreo.saga import Saga

_OPTIONS: dict[Task, tuple[str, ...]] = {
    "action": ("fails", "kind", "timeout", "retry", "on", "emits", "saga", "answer"),
    "compensation": ("of", "on", "retry", "ignore", "answer"),
    "observer": ("on", "retry", "saga"),
}


def refuse_unknown(task: Task, options: dict[str, Any]) -> None:
    """Refuse an option that the decorator doesn't have."""
    known = _OPTIONS[task]
    for option in options:
        if option not in known:
            close = get_close_matches(option, known, n=1)
            raise DeclarationError(
                f"unknown option {option!r}",
                hint=f"did you mean {close[0]}=?" if close else f"options: {', '.join(known)}",
            )


def refuse_async(function: Callable[..., Any]) -> None:
    """Refuse a coroutine function: handlers run inside the local transaction."""
    if inspect.iscoroutinefunction(function) or inspect.isgeneratorfunction(function):
        raise DeclarationError("it is not a plain function", hint="declare it with a plain def")


def refuse_twice(where: str, names: Sequence[str]) -> None:
    """Refuse a name that is given twice."""
    for name in names:
        if names.count(name) > 1:
            raise DeclarationError(f"{where}: {name!r} is given twice", hint="names must differ")


def refuse_foreign(saga: Saga, cls: type) -> None:
    """Refuse an event that isn't of the saga."""
    if cls is not Aborted and not saga.owns(cls):
        raise DeclarationError(
            saga.foreign(cls), hint="declare the event in that namespace, or add its to Saga(namespaces=…)"
        )


def refuse_unfilled(parameters: tuple[Parameter, ...], callers: list[type]) -> None:
    """Refuse an event parameter that nothing named in ``on=`` can fill."""
    for parameter in parameters:
        if parameter.classes and not set(parameter.classes) & {*callers, Aborted}:
            raise DeclarationError(
                f"parameter {parameter.name!r} takes events that on= does not name",
                hint="name them in on=, or drop the parameter",
            )


def refuse_shared_outcome(handler: Handler, others: Iterable[Handler]) -> None:
    """Refuse an outcome event that another step of the saga has already."""
    for other in others:
        if other.saga is not handler.saga:
            continue
        shared = sorted(set(handler.emits) & set(other.emits))
        if shared and not (handler.task == other.task == "compensation" and handler.step == other.step):
            raise DeclarationError(
                f"{shared[0]} is an outcome of {other.name} already",
                hint="an outcome event belongs to one step: give each its own",
            )


def refuse_bad_action(handler: Handler) -> None:
    """Refuse an action whose kind, events or options contradict each other."""
    if handler.kind not in (COMPENSATABLE, PIVOT, RETRIABLE):
        raise DeclarationError(
            f"kind={handler.kind!r} is unknown", hint="kinds: compensatable, pivot, retriable"
        )
    _refuse_bad_failures(handler)
    if not handler.successes:
        raise DeclarationError("it returns no success event", hint="annotate what it returns: -> Reserved")
    for cls in handler.emits.values():
        refuse_foreign(handler.saga, cls)
        if event_name(cls) in handler.trigger.types:
            raise DeclarationError(f"{event_name(cls)} would trigger its own step", hint="no cycles")
    if handler.timeout is not None and handler.timeout <= timedelta(0):
        raise DeclarationError(f"timeout={handler.timeout}: must be positive", hint="None for no timeout")
    if not handler.trigger.alternatives:
        raise DeclarationError("Aborted calls no action", hint="name the event that triggers it")
    if handler.fails and handler.answer is None:
        _refuse_unanswerable(handler, handler.fails[0], handler)


def _refuse_bad_failures(handler: Handler) -> None:
    for cls in handler.fails:
        if not is_event(cls):
            raise DeclarationError(f"fails={cls!r} is not an event", hint="decorate the class with @event")
    if handler.kind == RETRIABLE and handler.fails:
        raise DeclarationError("a retriable action can't fail", hint="drop fails=, or choose another kind")
    if handler.kind != RETRIABLE and not handler.fails:
        raise DeclarationError(
            f"a {handler.kind} action needs a failure event: it answers with it when it is refused",
            hint="give fails=…, or kind='retriable' for one that can't fail",
        )


def _refuse_unanswerable(handler: Handler, cls: type, action: Handler) -> None:
    """Refuse an answer whose fields the events that trigger the action can't fill."""
    classes = {event_name(c): c for p in action.event_parameters for c in p.classes}
    for alternative in action.trigger.alternatives:
        sources = [classes[name] for name in alternative if name in classes]
        missing = missing_fields(cls, sources)
        if missing:
            raise DeclarationError(
                f"{event_name(cls)} can't be built from {' and '.join(sorted(alternative))}: "
                f"no field {', '.join(missing)} of the same type",
                hint="give answer=lambda event, reason: …, or a default to the field",
            )


def refuse_final(action: Handler) -> None:
    """Refuse to compensate what is never undone."""
    if action.kind != COMPENSATABLE:
        raise DeclarationError(
            f"{action.name} is {action.kind}: it is never compensated", hint="drop the compensation"
        )


def refuse_bad_compensation(handler: Handler, others: Iterable[Handler]) -> None:
    """Refuse a compensation that could fail, that is one too many, or that could not be called."""
    if len(handler.emits) != 1:
        raise DeclarationError(
            "a compensation always ends in one event, its compensated one", hint="-> Released"
        )
    refuse_foreign(handler.saga, next(iter(handler.emits.values())))
    admits = [parameter for parameter in handler.parameters if parameter.admits_aborted]
    if not handler.trigger.alternatives and not admits:
        raise DeclarationError("nothing calls it", hint="event: PaymentFailed | PaymentRefunded, or Aborted")
    served = _served(handler)
    for other in others:
        rivals = other.task == "compensation" and (other.saga, other.step) == (handler.saga, handler.step)
        if rivals and not (served and _served(other) and served.isdisjoint(_served(other))):
            raise DeclarationError(
                f"{other.name} compensates {handler.step} already",
                hint="one compensation an action, or one for each of its success events",
            )
        if other.task == "action" and other.step == handler.step and handler.answer is None:
            _refuse_unanswerable(handler, next(iter(handler.emits.values())), other)


def _served(handler: Handler) -> set[str]:
    result = handler.result_parameter
    return set(result.types) if result else set()


def refuse_bad_observer(handler: Handler) -> None:
    """Refuse an observer that returns events."""
    if handler.emits:
        raise DeclarationError(
            f"an observer returns nothing, not {next(iter(handler.emits))}", hint="make it an action"
        )
    if not handler.trigger.alternatives:
        raise DeclarationError("nothing calls it", hint="annotate a parameter with an event")
