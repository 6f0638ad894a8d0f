"""Whether values are of the logical types of their schema, which its canonical form leaves out.

Source: Apache Avro 1.12 specification, "Logical Types": one that is not known, or not valid, is ignored.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

from choreo.avro.types import Mismatch, Schema

_DAY = timedelta(days=1)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DAYS = (date.min.toordinal() - _EPOCH.toordinal(), date.max.toordinal() - _EPOCH.toordinal())
_UNITS = {"millis": timedelta(milliseconds=1), "micros": timedelta(microseconds=1)}


def refuse_illogical(names: Mapping[str, Schema], schema: Schema, value: Any) -> None:
    """Raise `Mismatch` for a value that its schema holds and a logical type in it does not.

    The value is as `fastavro` writes it, that of a union a pair of the branch's title and the value in it.
    """
    schema = names.get(schema, schema) if isinstance(schema, str) else schema
    while isinstance(schema, dict) and isinstance(schema.get("type"), dict | list):
        schema = schema["type"]
    if isinstance(schema, list):
        if value is not None:
            title, value = value
            schema = next(each for each in schema if _title(names, each) == title)
            _inside(title, names, schema, value)
        return
    if not isinstance(schema, dict):
        return
    for place, inner, part in _parts(schema, value):
        _inside(place, names, inner, part)
    is_logical = _LOGICAL.get(str(schema.get("logicalType")))
    if is_logical and not is_logical(schema, value):
        raise Mismatch(f"can't hold that value: it is no {schema['logicalType']}")


def _inside(place: str, names: Mapping[str, Schema], schema: Schema, value: Any) -> None:
    try:
        refuse_illogical(names, schema, value)
    except Mismatch as mismatch:
        raise mismatch.inside(place) from None


def _parts(schema: dict[str, Any], value: Any) -> Iterator[tuple[str, Schema, Any]]:
    """Yield the parts of a value, each with its place and its schema."""
    match schema["type"]:
        case "record" | "error":
            yield from ((field["name"], field["type"], value[field["name"]]) for field in schema["fields"])
        case "array":
            yield from ((f"[{number}]", schema["items"], each) for number, each in enumerate(value))
        case "map":
            yield from (("{}", schema["values"], each) for each in value.values())


def _title(names: Mapping[str, Schema], branch: Schema) -> str:
    branch = names.get(branch, branch) if isinstance(branch, str) else branch
    if isinstance(branch, dict):
        return str(branch["name"] if "name" in branch else branch["type"])
    return str(branch)


def _is_uuid(schema: Mapping[str, Any], value: Any) -> bool:
    if schema["type"] != "string":
        return True
    try:
        UUID(value)
    except ValueError:
        return False
    return True


def _is_decimal(schema: Mapping[str, Any], value: Any) -> bool:
    precision = schema.get("precision")
    if not isinstance(value, bytes) or type(precision) is not int:
        return True
    return bool(abs(int.from_bytes(value, "big", signed=True)) < 10**precision)


def _is_date(schema: Mapping[str, Any], value: Any) -> bool:
    return schema["type"] != "int" or bool(_DAYS[0] <= value <= _DAYS[1])


def _is_time(schema: Mapping[str, Any], value: Any) -> bool:
    return bool(0 <= value < _DAY // _UNITS[schema["logicalType"].rpartition("-")[2]])


def _is_timestamp(schema: Mapping[str, Any], value: Any) -> bool:
    try:
        _EPOCH + value * _UNITS[schema["logicalType"].rpartition("-")[2]]
    except OverflowError:
        return False
    return True


_LOGICAL: Mapping[str, Callable[[Mapping[str, Any], Any], bool]] = {
    "date": _is_date,
    "decimal": _is_decimal,
    "uuid": _is_uuid,
    **{f"time-{unit}": _is_time for unit in _UNITS},
    **{f"{which}timestamp-{unit}": _is_timestamp for unit in _UNITS for which in ("", "local-")},
}
