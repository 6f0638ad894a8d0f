"""Defaults: what a dataclass's default is in a schema.

Source: Apache Avro 1.12 specification, "Schema Declaration", the table of default values.
"""

from __future__ import annotations

import dataclasses
import math
from typing import Any

from choreo.avro.shape import Misfit, Schema, Shape
from choreo.errors import SchemaError

NO_DEFAULT: Any = dataclasses.MISSING


def default_of(field: dataclasses.Field[Any]) -> Any:
    """Give a field's default, or NO_DEFAULT.

    Of the factories only ``list`` and ``dict`` count: what another gives may be new each time (an id,
    the time of day), which a schema can't say. Such a field has no default for readers.
    """
    if field.default is not dataclasses.MISSING:
        return field.default
    if field.default_factory is list or field.default_factory is dict:
        return field.default_factory()
    return NO_DEFAULT


def json_default(shape: Shape, default: Any, place: str) -> Any:
    """Write a default as the JSON that stands in a schema.

    Raises `SchemaError` when it isn't of the field's type or JSON has no way to write it.
    """
    try:
        return _json(shape.schema, shape.to_avro(default))
    except Misfit as misfit:
        raise SchemaError(
            f"{place}: the default doesn't fit: {misfit}", hint="change the default or the type"
        ) from None


def _json(schema: Schema, value: Any) -> Any:
    if isinstance(schema, list):
        return _of_branch(schema, value)
    if isinstance(value, bytes):
        return value.decode("latin-1")
    if isinstance(value, float) and not math.isfinite(value):
        raise Misfit("JSON has no such float")
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
        raise Misfit(f"inside of a default, a union takes its first branch, {_branch_name(schema[0])}")
    return _json(branches[name], inner)


def _branch_name(branch: Schema) -> str:
    if not isinstance(branch, dict):
        return str(branch)
    name = branch.get("name", branch["type"])
    return f"{branch['namespace']}.{name}" if branch.get("namespace") else str(name)
