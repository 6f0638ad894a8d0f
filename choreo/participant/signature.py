"""Reading a handler's signature: which parameter takes which event, and what the function returns."""

from __future__ import annotations

import inspect
import sys
import typing
from collections.abc import Callable
from typing import Any

from choreo.errors import DeclarationError
from choreo.event import is_event
from choreo.participant.condition import AllOf, AnyOf, union_members
from choreo.participant.context import Context
from choreo.participant.handler import Parameter, Place


def place_of(function: Callable[..., Any]) -> Place:
    """Say where a function is written."""
    code = getattr(inspect.unwrap(function), "__code__", None)
    return Place(code.co_filename, code.co_firstlineno) if code else Place("<unknown>", 0)


def hints_of(function: Callable[..., Any]) -> dict[str, Any]:
    """Resolve a function's annotations, those written as strings and those of local classes too.

    Raises `DeclarationError` when a name can't be resolved.
    """
    try:
        return typing.get_type_hints(function, localns=_declaring_locals(function))
    except (NameError, TypeError, AttributeError) as error:
        raise DeclarationError(
            f"an annotation can't be resolved: {error}",
            hint="import the event classes at the top of the module, not under TYPE_CHECKING",
        ) from None


def _declaring_locals(function: Callable[..., Any]) -> dict[str, Any]:
    """Find the local names where a function is declared: handlers and events may live in a function."""
    wanted = place_of(function).file
    frame = sys._getframe(1)
    while frame is not None and frame.f_code.co_filename != wanted:
        frame = frame.f_back  # type: ignore[assignment]
    return dict(frame.f_locals) if frame is not None else {}


def parameters_of(function: Callable[..., Any], hints: dict[str, Any]) -> tuple[Parameter, ...]:
    """Read every parameter. Raises `DeclarationError` for one that no event and no context fits."""
    return tuple(
        _parameter(parameter, hints) for parameter in inspect.signature(function).parameters.values()
    )


def _parameter(parameter: inspect.Parameter, hints: dict[str, Any]) -> Parameter:
    name = parameter.name
    if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
        raise DeclarationError(f"parameter *{name} can't be filled", hint="name each event as a parameter")
    if name not in hints:
        raise DeclarationError(
            f"parameter {name!r} has no annotation",
            hint="annotate it with an event class, a union of them, or Context",
        )
    if hints[name] is Context:
        return Parameter(name, is_context=True)
    members = union_members(hints[name])
    for member in members:
        if not is_event(member):
            raise DeclarationError(
                f"parameter {name!r}: {getattr(member, '__name__', member)} is not an event",
                hint="annotate it with a class decorated with @event, a union of them, or Context",
            )
    return Parameter(name, tuple(members), optional=type(None) in typing.get_args(hints[name]))


def returned_classes(hints: dict[str, Any], emits: Any) -> list[type]:
    """Give the event classes that a handler returns, by its annotation or by ``emits=``."""
    if emits is not None:
        annotation = emits
    elif "return" in hints:
        annotation = hints["return"]
    else:
        raise DeclarationError(
            "the return annotation is missing", hint="annotate the events it returns, or give emits="
        )
    members = [member for member in union_members(annotation) if member is not type(None)]
    for member in members:
        if member is not None and not is_event(member):
            raise DeclarationError(
                f"{getattr(member, '__name__', member)} is returned, but is not an event",
                hint="return an event class or a union of them",
            )
    return [member for member in members if member is not None]


def condition_of(parameters: tuple[Parameter, ...], on: Any) -> Any:
    """Give the condition that calls a handler: ``on``, or its event parameters, several being a join."""
    if on is not None:
        return on
    callers = [AnyOf(parameter.classes) for parameter in parameters if parameter.classes]
    if not callers:
        raise DeclarationError(
            "nothing calls it", hint="annotate a parameter with the event that calls it, or give on="
        )
    return callers[0] if len(callers) == 1 else AllOf(tuple(callers))
