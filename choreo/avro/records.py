"""The shape of a dataclass: an Avro record, converted field by field, or not at all."""

from __future__ import annotations

from typing import Any

from choreo.avro.shape import Convert, Misfit, Schema, Shape, expected


def record_of(cls: type, schema: Schema, full_name: str, fields: dict[str, Shape]) -> Shape:
    """Give the shape of a dataclass with these fields.

    A record whose fields need no conversion is written straight from ``vars(value)``.
    """
    return Shape(schema, full_name, (cls,), None, _writer(cls, fields), _reader(cls, fields))


def _writer(cls: type, fields: dict[str, Shape]) -> Convert:
    checks = [(name, shape.to_avro) for name, shape in fields.items()]
    if not _has_plain_dict(cls):
        return _converting(cls, checks)
    if not all(shape.keeps for shape in fields.values()):
        return _converting(cls, checks)

    def to_avro(value: Any) -> dict[str, Any]:
        if type(value) is not cls:
            raise expected(cls.__name__, value)
        values = vars(value)
        name = ""
        try:
            for name, check in checks:
                check(values[name])
        except Misfit as misfit:
            raise misfit.inside(name) from None
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
        except Misfit as misfit:
            raise misfit.inside(name) from None
        return converted

    return to_avro


def _reader(cls: type, fields: dict[str, Shape]) -> Convert:
    conversions = [(name, shape.from_avro) for name, shape in fields.items() if shape.from_avro]
    make = _maker(cls, len(fields))
    if not conversions:
        return make

    def from_avro(values: dict[str, Any]) -> Any:
        name = ""
        try:
            for name, convert in conversions:
                # Absent: the writer's version hasn't the field, so the class's own default holds.
                if name in values:
                    values[name] = convert(values[name])
        except Misfit as misfit:
            raise misfit.inside(name) from None
        return make(values)

    return from_avro


def _maker(cls: type, count: int) -> Convert:
    """Give what makes an instance of a dict that belongs to it alone.

    A frozen dataclass's ``__init__`` sets its fields one by one, which costs more than the decoding;
    where it does nothing else, the dict is put in place of the instance's own.
    """
    if hasattr(cls, "__post_init__") or not _has_plain_dict(cls) or _is_handmade(cls):
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


def _is_handmade(cls: type) -> bool:
    """Say whether a class makes or sets up its instances in any way but a dataclass's usual one."""
    # What dataclasses generate was compiled from a string; an __init__ in a file is somebody's own.
    code = getattr(cls.__init__, "__code__", None)  # type: ignore[misc]
    generated = code is not None and code.co_filename == "<string>"
    return not generated or getattr(cls, "__new__") is not object.__new__  # noqa: B009
