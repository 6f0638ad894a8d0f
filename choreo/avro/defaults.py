"""Defaults: the defaults of a dataclass's fields, as the JSON of a schema.

Source: Apache Avro 1.12 specification, "Schema Declaration", the table of default values.
"""

from __future__ import annotations

import dataclasses
import math
from typing import Any

from choreo.avro.types import AvroType, Mismatch, Schema
from choreo.errors import SchemaError

NO_DEFAULT: Any = dataclasses.MISSING


def default_of(field: dataclasses.Field[Any]) -> Any:
    """Return a field's default, or NO_DEFAULT.

    Of the factories only ``list`` and ``dict`` count: the result of another may differ each time (an id, the
    time of day), which a schema can't express. Such a field has no default for readers.
    """
    if field.default is not dataclasses.MISSING:
        return field.default
    if field.default_factory is list or field.default_factory is dict:
        return field.default_factory()
    return NO_DEFAULT


def json_default(avro_type: AvroType, default: Any, place: str) -> Any:
    """Return a default as JSON.

    Raises `SchemaError` where it isn't of the field's type, or JSON can't express it.
    """
    try:
        return _json(avro_type.schema, avro_type.to_avro(default))
    except Mismatch as mismatch:
        raise SchemaError(
            f"{place}: the default doesn't fit: {mismatch}", hint="change the default or the type"
        ) from None


def _json(schema: Schema, value: Any) -> Any:
    if isinstance(schema, list):
        return _of_branch(schema, value)
    if isinstance(value, bytes):
        return value.decode("latin-1")
    if isinstance(value, str) and any("\ud800" <= character <= "\udfff" for character in value):
        raise Mismatch("a str holds half of a surrogate pair, which is no text")
    if isinstance(value, float) and not math.isfinite(value):
        raise Mismatch("JSON has no such float")
    kind = schema["type"] if isinstance(schema, dict) else schema
    if kind == "array":
        return [_json(schema["items"], item) for item in value]
    if kind == "map":
        return {key: _json(schema["values"], item) for key, item in value.items()}
    if kind == "record":
        return {field["name"]: _json(field["type"], value[field["name"]]) for field in schema["fields"]}
    return float(value) if kind == "double" else value


def _of_branch(schema: list[Schema], value: tuple[str, Any]) -> Any:
    name, inner = value
    branches = {_branch_name(branch): branch for branch in schema}
    if name not in (_branch_name(schema[0]), "double"):
        raise Mismatch(f"inside of a default, a union takes its first branch, {_branch_name(schema[0])}")
    return _json(branches[name], inner)


def _branch_name(branch: Schema) -> str:
    if not isinstance(branch, dict):
        return str(branch)
    name = branch.get("name", branch["type"])
    return f"{branch['namespace']}.{name}" if branch.get("namespace") else str(name)
