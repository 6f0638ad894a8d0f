"""Unions: their order, what may stand side by side in them, and their values.

Source: Apache Avro 1.12 specification, "Unions".
"""

from __future__ import annotations

from typing import Any

from choreo.avro.shape import Convert, Schema, Shape, expected
from choreo.errors import SchemaError

_NULL = ("null", None)
NULL = Shape("null", "null", (type(None),), type(None), lambda value: value, keeps=True)


def union_of(shapes: list[Shape]) -> Shape:
    """Give the shape of ``A | B``, whose branches must be told apart by what stands on the wire.

    fastavro wants ``(branch, value)`` and gives that back for named types; for others, the class of
    the decoded value is the branch.
    """
    schema: list[Schema] = [shape.schema for shape in shapes]
    python = tuple(cls for shape in shapes for cls in shape.python)
    return Shape(schema, "union", python, None, _union_writer(shapes), _union_reader(shapes))


def _union_writer(shapes: list[Shape]) -> Convert:
    exact = {cls: shape for shape in reversed(shapes) for cls in shape.python}
    nullable = type(None) in exact
    names = ", ".join(sorted(cls.__name__ for cls in exact if cls is not type(None)))

    def to_avro(value: Any) -> tuple[str, Any]:
        if value is None and nullable:
            return _NULL
        shape = exact.get(type(value)) or next((s for s in shapes if isinstance(value, s.python)), None)
        if shape is None:
            raise expected(f"one of {names}", value)
        return shape.name, shape.to_avro(value)

    return to_avro


def _union_reader(shapes: list[Shape]) -> Convert | None:
    by_name = {shape.name: shape.from_avro for shape in shapes if shape.raw is None}
    by_class = {shape.raw: shape.from_avro for shape in shapes if shape.raw and shape.from_avro}
    if not by_name and not by_class:
        return None

    def from_avro(value: Any) -> Any:
        if type(value) is tuple:
            back = by_name[value[0]]
            value = value[1]
        else:
            back = by_class.get(type(value))
        return value if back is None else back(value)

    return from_avro


def in_order(shapes: list[Shape], default: Any) -> list[Shape]:
    """Order a union: the default's branch, as Avro wants it, then null, then as declared.

    But a double never before a long, since a reader takes the first branch that fits, and a long fits
    a double.
    """
    ordered = sorted(shapes, key=lambda shape: (type(default) not in shape.python, shape.name != "null"))
    names = [shape.name for shape in ordered]
    if "long" in names and "double" in names[: names.index("long")]:
        ordered.insert(names.index("long"), ordered.pop(names.index("double")))
    return ordered


def refuse_ambiguous(shapes: list[Shape], place: str) -> None:
    """Refuse branches that a reader could not tell apart. Raises `SchemaError`."""
    seen: dict[object, Shape] = {}
    for shape in shapes:
        if shape.name == "union":
            raise SchemaError(f"{place}: a union inside of a union", hint="write one union of all the types")
        # Resolution goes by the unqualified name, and promotes strings and bytes into each other.
        key = shape.name.rpartition(".")[2] if shape.raw is None else str if shape.raw is bytes else shape.raw
        other = seen.setdefault(key, shape)
        if other is not shape:
            raise SchemaError(
                f"{place}: a reader can't tell {_class_name(other)} and {_class_name(shape)} apart in Avro",
                hint="wrap one of them in a dataclass, or make two fields of it",
            )


def _class_name(shape: Shape) -> str:
    return shape.python[0].__name__
