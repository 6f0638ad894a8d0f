"""Shapes of lists, tuples, maps and enums.

Source: Apache Avro 1.12 specification, "Complex Types".
"""

from __future__ import annotations

from enum import Enum
from typing import Any

from choreo.avro.shape import Convert, Misfit, Shape, expected

_DEFAULT_MEMBER = "UNKNOWN"


def _each(convert: Convert, values: Any, place: str = "[]") -> list[Any]:
    try:
        return [convert(value) for value in values]
    except Misfit as misfit:
        raise misfit.inside(place) from None


def list_of(item: Shape) -> Shape:
    """Give the shape of ``list[X]``: an Avro array."""
    convert, back = item.to_avro, item.from_avro

    def to_avro(values: Any) -> Any:
        if not isinstance(values, list):
            raise expected("list", values)
        converted = _each(convert, values)
        return values if item.keeps else converted

    def from_avro(values: list[Any]) -> list[Any]:
        return values if back is None else [back(value) for value in values]

    return Shape(
        {"type": "array", "items": item.schema},
        "array",
        (list,),
        list,
        to_avro,
        None if back is None else from_avro,
        keeps=item.keeps,
    )


def tuple_of(item: Shape) -> Shape:
    """Give the shape of ``tuple[X, ...]``: an Avro array too."""
    convert, back = item.to_avro, item.from_avro

    def to_avro(values: Any) -> Any:
        if not isinstance(values, tuple):
            raise expected("tuple", values)
        return _each(convert, values)

    def from_avro(values: list[Any]) -> tuple[Any, ...]:
        return tuple(values) if back is None else tuple([back(value) for value in values])

    return Shape({"type": "array", "items": item.schema}, "array", (tuple,), list, to_avro, from_avro)


def map_of(value: Shape) -> Shape:
    """Give the shape of ``dict[str, X]``: an Avro map."""
    convert, back = value.to_avro, value.from_avro

    def to_avro(values: Any) -> Any:
        if not isinstance(values, dict):
            raise expected("dict", values)
        for key in values:
            if not isinstance(key, str):
                raise expected("str as a key", key)
        converted = _each(convert, values.values(), "{}")
        return values if value.keeps else dict(zip(values, converted, strict=True))

    def from_avro(values: dict[str, Any]) -> dict[str, Any]:
        return values if back is None else {key: back(item) for key, item in values.items()}

    return Shape(
        {"type": "map", "values": value.schema},
        "map",
        (dict,),
        dict,
        to_avro,
        None if back is None else from_avro,
        keeps=value.keeps,
    )


def enum_of(cls: type[Enum], schema: dict[str, Any], full_name: str) -> Shape:
    """Give the shape of an enum: its members by name; one called UNKNOWN is what readers fall back on."""
    members = {member.name: member for member in cls}
    symbols = list(members)
    schema = {**schema, "symbols": symbols}
    if _DEFAULT_MEMBER in symbols:
        schema["default"] = _DEFAULT_MEMBER

    def to_avro(value: Any) -> str:
        if not isinstance(value, cls):
            raise expected(cls.__name__, value)
        return value.name

    return Shape(schema, full_name, (cls,), None, to_avro, members.__getitem__)
