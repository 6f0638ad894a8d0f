"""``ParsedSchema``: a parsed schema, its fingerprint, and the check that reading with it is bounded.

Source: Apache Avro 1.12 specification, "Parsing Canonical Form for Schemas", "Schema Fingerprints"
and "Single-object encoding".
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from fastavro import schema as fastavro_schema

from choreo.avro.types import Schema
from choreo.errors import SchemaError

MARKER = b"\xc3\x01"
"""The first two bytes of a body in single-object encoding, version 1."""
HEADER_BYTES = 10
"""The length of the marker and the fingerprint, with which a body begins."""

_MAX_DEPTH = 64
_MAX_TYPES = 100_000
_MAX_JSON_DEPTH = 4 * _MAX_DEPTH


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
        if levels > _MAX_DEPTH or types > _MAX_TYPES:
            raise SchemaError(
                "not a usable Avro schema: too large",
                hint=f"at most {_MAX_DEPTH} levels and {_MAX_TYPES} types",
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
