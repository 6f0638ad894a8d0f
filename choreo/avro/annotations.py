"""Annotations: the types of a class's fields, and the errors for types that Avro lacks."""

from __future__ import annotations

import typing
from decimal import Decimal
from typing import Any, get_origin

from choreo.errors import SchemaError

_PLAIN = "str, int, float, bool, bytes, date, datetime, time, UUID, Enum, dataclass, list, tuple, dict"
_HINTS: dict[object, str] = {
    Decimal: "say how many digits: Annotated[Decimal, DecimalOf(precision=12, scale=2)]",
    list: "say of what: list[str]",
    dict: "say of what: dict[str, int]",
    tuple: "say of what: tuple[str, ...]",
    set: "an event has an order: use list or tuple",
    frozenset: "an event has an order: use tuple",
    typing.Literal: "use an Enum, so that readers know every value",
    object: f"say what it is: {_PLAIN}",
    Any: f"say what it is: {_PLAIN}",
}
_TIMEDELTA_HINT = "Avro has no such type: use an int with the unit in its name, such as within_seconds"


def field_types(cls: type, full_name: str) -> dict[str, Any]:
    """Return the types of a class's fields, by name. Raises `SchemaError` where one can't be read."""
    try:
        return typing.get_type_hints(cls, include_extras=True)
    except Exception as error:
        raise SchemaError(
            f"{full_name}: an annotation can't be read: {error}",
            hint="import what it names, or define it at the top of the module",
        ) from None


def unsupported(annotation: Any, place: str) -> SchemaError:
    """Return the error for a type that Avro lacks, with a hint of what to use."""
    origin = get_origin(annotation)
    hint = _HINTS.get(annotation) if origin is None else _HINTS.get(origin)
    if getattr(annotation, "__name__", "") == "timedelta":
        hint = _TIMEDELTA_HINT
    elif origin is dict:
        hint = "a map's keys are str"
    return SchemaError(f"{place}: Avro has no {spell(annotation)}", hint=hint or f"use one of {_PLAIN}")


def spell(annotation: Any) -> str:
    """Return a type approximately as it is written in code."""
    return annotation.__qualname__ if isinstance(annotation, type) else str(annotation)
