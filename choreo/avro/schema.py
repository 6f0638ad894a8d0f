"""``ParsedSchema``: a parsed schema, its fingerprint, and the check that reading with it is bounded.

Source: Apache Avro 1.12 specification, "Parsing Canonical Form for Schemas", "Schema Fingerprints"
and "Single-object encoding".
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from fastavro import schema as fastavro_schema

from choreo.avro.types import Schema
from choreo.errors import SchemaError
from choreo.limits import SCHEMA, SCHEMA_LEVELS, SCHEMA_TYPES

MARKER = b"\xc3\x01"
"""The first two bytes of a body in single-object encoding, version 1."""
HEADER_BYTES = 10
"""The length of the marker and the fingerprint, with which a body begins."""

_MAX_JSON_DEPTH = 4 * SCHEMA_LEVELS


@dataclass(frozen=True)
class ParsedSchema:
    """One version of a type.

    ``names`` has every named type of ``schema`` by full name. ``bare`` is the same schema in canonical
    form, for fastavro: without logical types, which choreo converts itself, and without defaults.
    ``fingerprint`` is CRC-64-AVRO in hex, in the byte order of a body (little-endian).
    """

    name: str
    schema: Schema
    names: dict[str, Schema]
    bare: Schema
    fingerprint: str

    @property
    def header(self) -> bytes:
        """The ten bytes with which bodies of this version begin."""
        return MARKER + bytes.fromhex(self.fingerprint)


def parse_schema(schema: Schema, *, bounded: bool = True) -> ParsedSchema:
    """Parse a schema.

    ``bounded`` refuses a schema with which a short body could need unbounded time or stack: a type that
    contains itself, more than 64 levels, array items of no bytes.

    Raises `SchemaError` when it isn't a valid schema of a named type.

    >>> parse_schema({"type": "fixed", "name": "id", "size": 15}).fingerprint
    'e80776f4dc4c0c43'
    """
    _refuse_deep(schema)
    _refuse_misshapen(schema)
    names: dict[str, Schema] = {}
    try:
        parsed = fastavro_schema.parse_schema(schema, names, _write_hint=False)
        canonical = fastavro_schema.to_parsing_canonical_form(parsed)
        bare = fastavro_schema.parse_schema(json.loads(canonical))
        fingerprint = fastavro_schema.fingerprint(canonical, "CRC-64-AVRO")
    except Exception as error:
        raise SchemaError(f"not a valid Avro schema: {type(error).__name__}: {error}") from None
    if not isinstance(parsed, dict) or "name" not in parsed:
        raise SchemaError("not the schema of a named type", hint="an event is an Avro record")
    if bounded:
        _Extent(names).of(parsed)
    return ParsedSchema(parsed["name"], parsed, names, bare, fingerprint)


def _refuse_deep(schema: Schema) -> None:
    """Raise `SchemaError` for JSON so deep that a recursive parser would overflow the stack."""
    level: list[Any] = [schema]
    for _ in range(_MAX_JSON_DEPTH):
        level = [part for item in level for part in _inner(item)]
    if level:
        raise SchemaError("not a usable Avro schema: nested too deeply")


def _inner(item: Any) -> list[Any]:
    if isinstance(item, dict):
        return list(item.values())
    return item if isinstance(item, list) else []


def _refuse_misshapen(schema: Schema, *, in_union: bool = False) -> None:
    """Raise `SchemaError` for what is of the wrong JSON type; fastavro takes much of it, and fails later."""
    if isinstance(schema, str):
        return
    if isinstance(schema, list) and not in_union:
        for branch in schema:
            _refuse_misshapen(branch, in_union=True)
        return
    if not isinstance(schema, dict):
        raise SchemaError("not a valid Avro schema: " + ("a union in a union" if in_union else "no type"))
    wrong = [key for key, is_right in _SHAPES.items() if key in schema and not is_right(schema[key])]
    if wrong:
        raise SchemaError(f"not a valid Avro schema: its {wrong[0]} can't be used")
    inner = [schema["type"]] if isinstance(schema.get("type"), dict | list) else []
    for part in inner + _parts(schema):
        _refuse_misshapen(part)


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and value.isprintable()


def _are_names(value: Any) -> bool:
    return isinstance(value, list) and all(map(_is_text, value))


def _are_fields(value: Any) -> bool:
    return isinstance(value, list) and all(
        isinstance(field, dict)
        and "type" in field
        and _is_text(field.get("name"))
        and _are_names(field.get("aliases", []))
        for field in value
    )


def _is_size(value: Any) -> bool:
    return type(value) is int and 0 <= value <= SCHEMA


_SHAPES: dict[str, Callable[[Any], bool]] = {
    "type": lambda value: isinstance(value, str | dict | list),
    "name": _is_text,
    "namespace": _is_text,
    "aliases": _are_names,
    "fields": _are_fields,
    "symbols": lambda value: _are_names(value) and value != [],
    "size": _is_size,
    "logicalType": _is_text,
    "precision": _is_size,
    "scale": _is_size,
}
"""The keys of a schema whose values this package relies on."""


class _Extent:
    """Measures schemas: the levels, the number of types when expanded, the fewest bytes of a value."""

    def __init__(self, names: dict[str, Schema]) -> None:
        self._names = names
        self._known: dict[str, tuple[int, int, int] | None] = {}

    def of(self, schema: Schema) -> tuple[int, int, int]:
        """Return (levels, types, fewest bytes). Raises `SchemaError` where they are unbounded."""
        schema = self._names.get(schema, schema) if isinstance(schema, str) else schema
        name = schema.get("name") if isinstance(schema, dict) else None
        if name is None:
            return self._measure(schema)
        if name not in self._known:
            self._known[name] = None
            self._known[name] = self._measure(schema)
        found = self._known[name]
        if found is None:
            raise SchemaError(f"{name} contains itself", hint="its bodies could nest without end")
        return found

    def _measure(self, schema: Schema) -> tuple[int, int, int]:
        parts = [self.of(part) for part in _parts(schema)]
        levels = 1 + max((part[0] for part in parts), default=0)
        types = 1 + sum(part[1] for part in parts)
        if levels > SCHEMA_LEVELS or types > SCHEMA_TYPES:
            raise SchemaError(
                "not a usable Avro schema: too large",
                hint=f"at most {SCHEMA_LEVELS} levels and {SCHEMA_TYPES} types",
            )
        return levels, types, _fewest_bytes(schema, [part[2] for part in parts])


def _parts(schema: Schema) -> list[Schema]:
    if isinstance(schema, list):
        return schema
    if not isinstance(schema, dict):
        return []
    fields = [field["type"] for field in schema.get("fields", [])]
    return fields + [schema[part] for part in ("items", "values") if part in schema]


def _fewest_bytes(schema: Schema, parts: list[int]) -> int:
    kind = schema.get("type") if isinstance(schema, dict) else schema
    if kind == "array" and parts == [0]:
        raise SchemaError(
            "an array of items that take no bytes", hint="a short body could claim any number of them"
        )
    if kind in ("record", "error"):
        return min(sum(parts), 1)
    if kind == "fixed":
        size: Any = schema["size"]
        return min(int(size), 1)
    return 0 if kind == "null" else 1
