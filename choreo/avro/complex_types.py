"""Complex types: lists, tuples, maps, enums, unions, and the records of dataclasses.

Source: Apache Avro 1.12 specification, "Complex Types".
"""

from __future__ import annotations

from enum import Enum
from typing import Any

from choreo.avro.types import AvroType, Convert, Mismatch, Schema, expected
from choreo.errors import SchemaError

_DEFAULT_MEMBER = "UNKNOWN"


def _each(convert: Convert, values: Any, place: str = "[]") -> list[Any]:
    try:
        return [convert(value) for value in values]
    except Mismatch as mismatch:
        raise mismatch.inside(place) from None


def list_of(item: AvroType) -> AvroType:
    """Return the Avro type of ``list[X]``: an Avro array."""
    convert, back = item.to_avro, item.from_avro

    def to_avro(values: Any) -> Any:
        if not isinstance(values, list):
            raise expected("list", values)
        converted = _each(convert, values)
        return values if item.keeps else converted

    def from_avro(values: list[Any]) -> list[Any]:
        return values if back is None else [back(value) for value in values]

    return AvroType(
        {"type": "array", "items": item.schema},
        "array",
        (list,),
        list,
        to_avro,
        None if back is None else from_avro,
        keeps=item.keeps,
    )


def tuple_of(item: AvroType) -> AvroType:
    """Return the Avro type of ``tuple[X, ...]``: an Avro array."""
    convert, back = item.to_avro, item.from_avro

    def to_avro(values: Any) -> Any:
        if not isinstance(values, tuple):
            raise expected("tuple", values)
        return _each(convert, values)

    def from_avro(values: list[Any]) -> tuple[Any, ...]:
        return tuple(values) if back is None else tuple([back(value) for value in values])

    return AvroType({"type": "array", "items": item.schema}, "array", (tuple,), list, to_avro, from_avro)


def map_of(value: AvroType) -> AvroType:
    """Return the Avro type of ``dict[str, X]``: an Avro map."""
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

    return AvroType(
        {"type": "map", "values": value.schema},
        "map",
        (dict,),
        dict,
        to_avro,
        None if back is None else from_avro,
        keeps=value.keeps,
    )


def enum_of(cls: type[Enum], schema: dict[str, Any], full_name: str) -> AvroType:
    """Return the Avro type of an enum: its members by name; readers fall back on UNKNOWN."""
    members = {member.name: member for member in cls}
    symbols = list(members)
    schema = {**schema, "symbols": symbols}
    if _DEFAULT_MEMBER in symbols:
        schema["default"] = _DEFAULT_MEMBER

    def to_avro(value: Any) -> str:
        if not isinstance(value, cls):
            raise expected(cls.__name__, value)
        return value.name

    return AvroType(schema, full_name, (cls,), None, to_avro, members.__getitem__)


_NULL = ("null", None)
NULL = AvroType("null", "null", (type(None),), type(None), lambda value: value, keeps=True)


def union_of(branches: list[AvroType]) -> AvroType:
    """Return the Avro type of ``A | B``, whose branches must be distinguishable in an encoded body.

    fastavro takes ``(branch, value)`` and returns it for named types; for others, the class of the decoded
    value is the branch.
    """
    schema: list[Schema] = [branch.schema for branch in branches]
    python = tuple(cls for branch in branches for cls in branch.python)
    return AvroType(schema, "union", python, None, _union_writer(branches), _union_reader(branches))


def _union_writer(branches: list[AvroType]) -> Convert:
    exact = {cls: branch for branch in reversed(branches) for cls in branch.python}
    nullable = type(None) in exact
    names = ", ".join(sorted(cls.__name__ for cls in exact if cls is not type(None)))

    def to_avro(value: Any) -> tuple[str, Any]:
        if value is None and nullable:
            return _NULL
        branch = exact.get(type(value)) or next((s for s in branches if isinstance(value, s.python)), None)
        if branch is None:
            raise expected(f"one of {names}", value)
        return branch.name, branch.to_avro(value)

    return to_avro


def _union_reader(branches: list[AvroType]) -> Convert | None:
    by_name = {branch.name: branch.from_avro for branch in branches if branch.raw is None}
    by_class = {branch.raw: branch.from_avro for branch in branches if branch.raw and branch.from_avro}
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


def in_order(branches: list[AvroType], default: Any) -> list[AvroType]:
    """Return a union's branches in order: the default's, as Avro requires, then null, then as declared.

    A long always precedes a double: a reader takes the first branch that fits, and a long fits a double.
    """
    ordered = sorted(branches, key=lambda branch: (type(default) not in branch.python, branch.name != "null"))
    names = [branch.name for branch in ordered]
    if "long" in names and "double" in names[: names.index("long")]:
        ordered.insert(names.index("long"), ordered.pop(names.index("double")))
    return ordered


def refuse_ambiguous(branches: list[AvroType], place: str) -> None:
    """Raise `SchemaError` for branches that a reader could not distinguish."""
    seen: dict[object, AvroType] = {}
    for branch in branches:
        if branch.name == "union":
            raise SchemaError(f"{place}: a union inside of a union", hint="write one union of all the types")
        other = seen.setdefault(_read_as(branch), branch)
        if other is not branch:
            raise SchemaError(
                f"{place}: a reader can't tell {_class_name(other)} and {_class_name(branch)} apart in Avro",
                hint="wrap one of them in a dataclass, or make two fields of it",
            )


def _read_as(branch: AvroType) -> object:
    # Resolution uses the unqualified name, and promotes strings and bytes into each other.
    if branch.raw is None:
        return branch.name.rpartition(".")[2]
    return str if branch.raw is bytes else branch.raw


def _class_name(branch: AvroType) -> str:
    return branch.python[0].__name__


def record_of(cls: type, schema: Schema, full_name: str, fields: dict[str, AvroType]) -> AvroType:
    """Return the Avro type of a dataclass with these fields.

    A record whose fields need no conversion is written straight from ``vars(value)``.
    """
    return AvroType(schema, full_name, (cls,), None, _writer(cls, fields), _reader(cls, fields))


def _writer(cls: type, fields: dict[str, AvroType]) -> Convert:
    checks = [(name, avro_type.to_avro) for name, avro_type in fields.items()]
    if not _has_plain_dict(cls):
        return _converting(cls, checks)
    if not all(avro_type.keeps for avro_type in fields.values()):
        return _converting(cls, checks)

    def to_avro(value: Any) -> dict[str, Any]:
        if type(value) is not cls:
            raise expected(cls.__name__, value)
        values = vars(value)
        name = ""
        try:
            for name, check in checks:
                check(values[name])
        except Mismatch as mismatch:
            raise mismatch.inside(name) from None
        return values

    return to_avro


def _converting(cls: type, conversions: list[tuple[str, Convert]]) -> Convert:
    def to_avro(value: Any) -> dict[str, Any]:
        if type(value) is not cls:
            raise expected(cls.__name__, value)
        converted = {}
        name = ""
        try:
            for name, convert in conversions:
                converted[name] = convert(getattr(value, name))
        except Mismatch as mismatch:
            raise mismatch.inside(name) from None
        return converted

    return to_avro


def _reader(cls: type, fields: dict[str, AvroType]) -> Convert:
    conversions = [(name, avro_type.from_avro) for name, avro_type in fields.items() if avro_type.from_avro]
    make = _maker(cls, len(fields))
    if not conversions:
        return make

    def from_avro(values: dict[str, Any]) -> Any:
        name = ""
        try:
            for name, convert in conversions:
                # The writer's version lacks the field, so the class's own default applies.
                if name in values:
                    values[name] = convert(values[name])
        except Mismatch as mismatch:
            raise mismatch.inside(name) from None
        return make(values)

    return from_avro


def _maker(cls: type, count: int) -> Convert:
    """Return the function that makes an instance of a dict that has no other reference.

    A frozen dataclass's ``__init__`` sets its fields one by one, which is slower than the decoding;
    where it does nothing else, the dict becomes the instance's ``__dict__``.
    """
    if hasattr(cls, "__post_init__") or not _has_plain_dict(cls) or _has_own_init(cls):
        return lambda values: cls(**values)
    new, put = object.__new__, object.__setattr__

    def make(values: dict[str, Any]) -> Any:
        if len(values) != count:
            return cls(**values)
        made: Any = new(cls)
        put(made, "__dict__", values)
        return made

    return make


def _has_plain_dict(cls: type) -> bool:
    return not any(getattr(part, "__slots__", ()) for part in cls.__mro__)


def _has_own_init(cls: type) -> bool:
    """Whether a class has a ``__new__`` or an ``__init__`` other than that of a dataclass."""
    # The generated __init__ was compiled from a string, any other one from a file.
    code = getattr(cls.__init__, "__code__", None)  # type: ignore[misc]
    generated = code is not None and code.co_filename == "<string>"
    return not generated or getattr(cls, "__new__") is not object.__new__  # noqa: B009
