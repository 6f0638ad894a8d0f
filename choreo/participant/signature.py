"""Reads a handler's signature: which parameter takes which event, and which events it returns."""

from __future__ import annotations

import dis
import inspect
import sys
import typing
from collections.abc import Callable, Iterable
from itertools import combinations, pairwise
from types import FrameType
from typing import Any

from choreo.annotations import members
from choreo.errors import DeclarationError
from choreo.events import EARLIER, event_name, is_event
from choreo.participant.context import Context
from choreo.participant.handler import Parameter, Place
from choreo.participant.triggers import AllOf, AnyOf, distinct

_UNPLAIN = (inspect.isgeneratorfunction, inspect.isasyncgenfunction)


def place_of(function: Callable[..., Any]) -> Place:
    """Return the place of a function's definition; for any other object, of its decoration."""
    code = getattr(inspect.unwrap(function), "__code__", None)
    if code:
        return Place(code.co_filename, code.co_firstlineno)
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and frame.f_globals.get("__name__", "").startswith(__package__):
        frame = frame.f_back
    return Place(frame.f_code.co_filename, frame.f_lineno) if frame else Place("<unknown>", 0)


def name_of(function: Callable[..., Any]) -> str:
    """Return the name of a function; for anything else, its representation."""
    return str(getattr(function, "__name__", repr(function)))


def refuse_unplain(function: Callable[..., Any]) -> None:
    """Refuse anything but a function or a method that is not a generator."""
    if not (inspect.isfunction(function) or inspect.ismethod(function)):
        raise DeclarationError(
            f"{name_of(function)} is not a function", hint="options are given by name: fails=…, kind=…"
        )
    if any(test(function) for test in _UNPLAIN):
        raise DeclarationError("it is not a plain function", hint="declare it with a plain def, or async def")
    if not function.__name__.isidentifier():
        raise DeclarationError(
            f"{function.__name__} can't name a step", hint="declare it with def and a name"
        )


def refuse_database(function: Callable[..., Any], parameters: Iterable[Parameter]) -> None:
    """Refuse a handler outside of any transaction whose own code contains ``ctx.db``."""
    contexts = {parameter.name for parameter in parameters if parameter.is_context}
    code = getattr(inspect.unwrap(function), "__code__", None)
    if code is None:
        return
    for loaded, used in pairwise(dis.get_instructions(code)):
        if loaded.argval in contexts and used.argval == "db" and used.opname.startswith("LOAD_"):
            raise DeclarationError(
                f"it uses {loaded.argval}.db, but runs outside of any transaction",
                hint="take what it needs from its event; write in an action that follows, or a plain def",
            )


def hints_of(function: Callable[..., Any]) -> dict[str, Any]:
    """Return a function's resolved annotations, including strings and local classes.

    The metadata of `Annotated`, such as the mark of `Earlier`, is kept. Raises `DeclarationError` when a
    name can't be resolved.
    """
    try:
        return typing.get_type_hints(function, localns=_declaring_locals(function), include_extras=True)
    except (NameError, TypeError, AttributeError, SyntaxError) as error:
        raise DeclarationError(
            f"an annotation can't be resolved: {error}",
            hint="import the event classes at the top of the module, not under TYPE_CHECKING",
        ) from None


def _declaring_locals(function: Callable[..., Any]) -> dict[str, Any]:
    """Return the local names where a function is declared, since events may be local to a test."""
    wanted = place_of(function).file
    frame = sys._getframe(1)
    while frame is not None and frame.f_code.co_filename != wanted:
        frame = frame.f_back  # type: ignore[assignment]
    return dict(frame.f_locals) if frame is not None else {}


def parameters_of(
    function: Callable[..., Any], hints: dict[str, Any], results: tuple[type, ...] = ()
) -> tuple[Parameter, ...]:
    """Return all parameters; one annotated with some of ``results`` takes the event of the undone step.

    Raises `DeclarationError` for one that is neither an event nor the context, and for two of the same event.
    """
    parameters = tuple(
        _parameter(parameter, hints, results) for parameter in inspect.signature(function).parameters.values()
    )
    for first, second in combinations(parameters, 2):
        _refuse_same(first, second)
    return parameters


def _parameter(parameter: inspect.Parameter, hints: dict[str, Any], results: tuple[type, ...]) -> Parameter:
    name = parameter.name
    _refuse_unfillable(parameter)
    if name not in hints:
        raise DeclarationError(
            f"parameter {name!r} has no annotation",
            hint="annotate it with an event class, a union of them, or Context",
        )
    classes, is_earlier, optional = _taken(name, hints[name])
    if classes == (Context,) and not optional:
        return Parameter(name, is_context=True)
    for cls in classes:
        if not is_event(cls):
            raise DeclarationError(
                f"parameter {name!r}: {getattr(cls, '__name__', cls)} is not an event",
                hint="annotate it with a class decorated with @event, a union of them, or Context",
            )
    is_result = _is_result(name, classes, results)
    if is_result and is_earlier:
        raise DeclarationError(
            f"parameter {name!r}: what the step itself did needs no Earlier",
            hint=f"annotate it with {' | '.join(cls.__name__ for cls in classes)}",
        )
    return Parameter(name, classes, is_result=is_result, is_earlier=is_earlier, optional=optional)


def _taken(name: str, annotation: Any) -> tuple[tuple[type, ...], bool, bool]:
    """Return the classes of an annotation, whether it is `Earlier`, and whether it admits None."""
    pairs = _members(annotation, f"parameter {name!r}")
    marks = {EARLIER in metadata for member, metadata in pairs if member is not type(None)}
    if len(marks) > 1:
        raise DeclarationError(
            f"parameter {name!r} mixes what calls the handler with what came earlier",
            hint="give each a parameter of its own",
        )
    found = dict.fromkeys(member for member, _ in pairs)
    classes = tuple(member for member in found if member is not type(None))
    return classes or (type(None),), marks == {True}, bool(classes) and len(classes) < len(found)


def _members(annotation: Any, where: str) -> list[tuple[Any, tuple[Any, ...]]]:
    try:
        return members(annotation)
    except (TypeError, NameError, AttributeError) as error:
        raise DeclarationError(
            f"{where}: the annotation can't be resolved: {error}", hint="write out what it stands for"
        ) from None


def _refuse_unfillable(parameter: inspect.Parameter) -> None:
    """Refuse a parameter that can't be filled by position, as the runtime does."""
    if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
        star = "*" if parameter.kind == parameter.VAR_POSITIONAL else "**"
        raise DeclarationError(
            f"parameter {star}{parameter.name} can't be filled", hint="name each event as a parameter"
        )
    if parameter.kind == parameter.KEYWORD_ONLY:
        raise DeclarationError(
            f"parameter {parameter.name!r} is keyword-only",
            hint="arguments are given by position: drop the *",
        )
    if parameter.default is not parameter.empty:
        raise DeclarationError(
            f"parameter {parameter.name!r} has a default, which would never be used", hint="drop it"
        )


def _is_result(name: str, classes: tuple[type, ...], results: tuple[type, ...]) -> bool:
    own = set(classes) & set(results)
    if own and not set(classes) <= own:
        raise DeclarationError(
            f"parameter {name!r} mixes what the step did with what calls its compensation",
            hint=f"give {event_name(own.pop())} a parameter of its own",
        )
    return bool(own)


def _refuse_same(first: Parameter, second: Parameter) -> None:
    pair = f"parameters {first.name!r} and {second.name!r}"
    if first.is_context and second.is_context:
        raise DeclarationError(f"{pair} are both the Context", hint="one is enough")
    if first.is_result and second.is_result:
        raise DeclarationError(
            f"{pair} both take the event of the step that is undone",
            hint="a step emits one event: one parameter, A | B",
        )
    shared = sorted({*first.types} & {*second.types})
    if shared:
        raise DeclarationError(f"{pair} both take {shared[0]}", hint="an event fills one parameter")


def returned_classes(hints: dict[str, Any], emits: Any) -> list[type]:
    """Return the event classes that a handler returns, by its annotation or by ``emits=``."""
    if emits is None and "return" not in hints:
        raise DeclarationError(
            "the return annotation is missing",
            hint="annotate the events it returns, None for an observer, or give an action emits=",
        )
    annotation = hints["return"] if emits is None else emits
    found = distinct(member for member, _ in _members(annotation, "what it returns"))
    if found == [type(None)]:
        return []
    if type(None) in found:
        raise DeclarationError(
            "it may return None", hint="return an event in every case: -> Reserved | Unavailable"
        )
    for member in found:
        if not is_event(member):
            raise DeclarationError(
                f"{getattr(member, '__name__', member) or repr(member)} is returned, but is not an event",
                hint="return an event class or a union of them",
            )
    return found


def names_no_event(parameters: tuple[Parameter, ...], on: Any) -> bool:
    """Whether a declaration names no event that calls the handler."""
    return on is None and not any(parameter.is_caller for parameter in parameters)


def condition_of(parameters: tuple[Parameter, ...], on: Any) -> Any:
    """Return the condition that calls a handler: ``on``, or its event parameters, several being a join."""
    if on is not None:
        return on
    if names_no_event(parameters, on):
        raise DeclarationError(
            "nothing calls it", hint="annotate a parameter with the event that calls it, or give on="
        )
    callers = [parameter for parameter in parameters if parameter.is_caller]
    for parameter in callers:
        if parameter.optional:
            raise DeclarationError(
                f"parameter {parameter.name!r} is never None: it takes what calls the handler",
                hint="drop None, or say with on= which events call it",
            )
    conditions = tuple(AnyOf(parameter.classes) for parameter in callers)
    return conditions[0] if len(conditions) == 1 else AllOf(conditions)
