"""Answers that no handler returns: of a refused step, of exhausted retries, of a step settled by hand."""

from __future__ import annotations

import dataclasses
import inspect
import sys
import typing
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from decimal import Decimal
from functools import cache
from typing import Any

from choreo.annotations import members
from choreo.errors import DeclarationError
from choreo.events import Aborted, DecimalOf, event_name
from choreo.participant.handler import Handler

REASON = "reason"


def build(cls: type, sources: Sequence[object], reason: str, answer: Callable[..., Any] | None = None) -> Any:
    """Build an answer from the fields of the same name and type of the events that triggered the step.

    ``reason`` fills the field of that name. ``answer``, where given, is called instead, with the events
    and ``reason=``. A join that was refused early has had only some of its events. Raises `DeclarationError`
    when a field is missing or ``answer`` returns another event.

    >>> from choreo import event
    >>> @event
    ... class OrderCreated:
    ...     order_id: str
    ...     total: int
    >>> @event
    ... class PaymentFailed:
    ...     order_id: str
    ...     reason: str
    >>> build(PaymentFailed, [OrderCreated("o-1", 5)], "card declined")
    PaymentFailed(order_id='o-1', reason='card declined')
    """
    if answer is not None:
        return _answered(cls, answer(*sources, reason=reason))
    _refuse_missing(cls, [type(source) for source in sources])
    values: dict[str, Any] = {}
    for source in sources:
        values.update((name, getattr(source, name)) for name in _filled(cls, type(source)))
    if REASON in _filled(cls):
        values[REASON] = reason
    return cls(**values)


def _answered(cls: type, made: Any) -> Any:
    if type(made) is not cls:
        raise DeclarationError(
            f"answer= gave a {type(made).__name__}, not a {event_name(cls)}",
            hint=f"give answer=lambda event, reason: {cls.__name__}(…)",
        )
    return made


def calls_of(action: Handler) -> tuple[tuple[type, ...], int]:
    """Return the events that call an action, and the number of those in its longest alternative."""
    callers = tuple(cls for cls in action.callers if cls is not Aborted)
    return callers, action.trigger.longest


def refuse_unanswerable(
    cls: type, answer: Callable[..., Any] | None, callers: Iterable[type], most: int
) -> None:
    """Refuse an answer that can't be built from the events that trigger its step.

    A join may be refused when only one of its ``most`` events has come, so each of them must be enough.
    """
    if answer is not None:
        for count in range(1, most + 1):
            _refuse_uncallable(answer, count)
        return
    for caller in callers:
        _refuse_missing(cls, [caller])


def _refuse_uncallable(answer: Callable[..., Any], count: int) -> None:
    try:
        inspect.signature(answer).bind(*range(count), reason="")
    except TypeError as error:
        events = "1 event" if count == 1 else f"{count} events"
        raise DeclarationError(
            f"answer= can't be called with {events} and reason=: {error}",
            hint="answer=lambda event, reason: …, or lambda *events, reason: … for a join, "
            "which may be refused before all its events have come",
        ) from None


def _refuse_missing(cls: type, sources: Sequence[type]) -> None:
    filled = {*_filled(cls), *(name for source in sources for name in _filled(cls, source))}
    required = [field.name for field in dataclasses.fields(cls) if _is_required(field)]
    missing = [name for name in required if name not in filled]
    if missing:
        raise DeclarationError(
            f"{event_name(cls)} can't be built from {' and '.join(map(event_name, sources))}: "
            f"no field {', '.join(missing)} of the same type",
            hint="give answer=lambda event, reason: …, or a default to the field",
        )


def _filled(cls: type, source: type | None = None) -> tuple[str, ...]:
    """Return the names of the fields of ``cls`` that ``source``, or without a source the reason, fills."""
    given = _types(source) if source else {REASON: frozenset({str})}
    return tuple(name for name, wanted in _types(cls).items() if name in given and _fits(given[name], wanted))


def _fits(given: frozenset[Any], wanted: frozenset[Any]) -> bool:
    """Whether every value of the given types is one of the wanted types."""
    return all(form in wanted or any(_has_room(form, other) for other in wanted) for form in given)


def _has_room(given: Any, wanted: Any) -> bool:
    """Whether both are decimals, and the wanted one has the digits for every given one."""
    if not (isinstance(given, DecimalOf) and isinstance(wanted, DecimalOf)):
        return False
    whole = given.precision - given.scale <= wanted.precision - wanted.scale
    return whole and given.scale <= wanted.scale


@cache
def _types(cls: Any) -> dict[str, frozenset[Any]]:
    """Return the forms of the types that each field of an event accepts."""
    fields = (field for field in dataclasses.fields(cls) if field.init)
    return {field.name: _forms(_resolved(cls, field)) for field in fields}


def _resolved(cls: Any, field: dataclasses.Field[Any]) -> Any:
    """Return a field's annotation, as text where it names what only a function knows."""
    for owner in cls.__mro__:
        if field.name in inspect.get_annotations(owner):
            names = vars(sys.modules.get(owner.__module__, typing))
            holder = type(owner.__name__, (), {"__annotations__": {"value": field.type}})
            with suppress(NameError):
                return typing.get_type_hints(holder, names, vars(owner), include_extras=True)["value"]
    return field.type


def _forms(annotation: Any) -> frozenset[Any]:
    """Return what distinguishes the types that an annotation admits; two of one name are two types."""
    if isinstance(annotation, str):
        return frozenset(part.strip() for part in annotation.split("|"))
    return frozenset(_form(*pair) for pair in members(annotation))


def _form(member: Any, metadata: tuple[Any, ...]) -> Any:
    if member is Decimal:
        return next((part for part in metadata if isinstance(part, DecimalOf)), Decimal)
    origin = typing.get_origin(member)
    if origin is None:
        return member
    return origin, *(each if each is Ellipsis else _forms(each) for each in typing.get_args(member))


def _is_required(field: dataclasses.Field[Any]) -> bool:
    return (
        field.init and field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
    )
