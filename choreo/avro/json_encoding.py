"""Avro's JSON encoding: bodies as readable text.

Source: Apache Avro 1.12 specification, "JSON Encoding": a union's value names its type, as in
``{"string": "x"}``, unless it is null. NaN and the infinities are written as Python's json writes them.
Logical types are shown as the numbers, texts and bytes of which they are made.

fastavro's own is not used: it fails on an empty key of a map, and takes what a schema can't hold.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

from fastavro import schemaless_reader, schemaless_writer

from choreo import limits
from choreo.avro.logical_types import refuse_illogical
from choreo.avro.schema import HEADER_BYTES, MARKER, ParsedSchema
from choreo.avro.schema_files import SUFFIX, SchemaFolders, read_parsed_schema
from choreo.avro.types import Mismatch, Schema
from choreo.errors import BodyError, SchemaError

MAX_TEXT = limits.EDITED_TEXT
"""The length beyond which text is refused."""


def text_of(type_name: str, body: bytes | None, folder: Path) -> str:
    """Return a body as indented JSON, with its writer's schema.

    Raises `BodyError` where there is none, its schema isn't in ``folder``, or it doesn't fit the schema.
    """
    if body is None or body[:2] != MARKER or len(body) < HEADER_BYTES:
        raise BodyError(f"{type_name}: the body is not in Avro's single-object encoding")
    fingerprint = body[2:HEADER_BYTES].hex()
    writers = SchemaFolders([folder]).find(fingerprint)
    if not writers:
        raise BodyError(f"{type_name}: no schema in {folder} has the fingerprint {fingerprint}")
    # Of several with one fingerprint, which differ in logical types, any shows the same text.
    writer = writers[0]
    shown = _Shown(writer.bare).json(writer.bare, _read(writer, body))
    return json.dumps(shown, indent=2, ensure_ascii=False)


def body_of(type_name: str, text: str, folder: Path) -> bytes:
    """Return the body of an event from its JSON, with the current schema of its type.

    Raises `SchemaError` where ``folder`` has none, and `BodyError` where the text doesn't fit it.
    """
    path = folder / f"{type_name}{SUFFIX}"
    if not path.is_file():
        raise SchemaError(
            f"there is no schema of {type_name} in {folder}", hint="name the folder with --schemas"
        )
    parsed = read_parsed_schema(path)
    given = _parsed(type_name, text)
    try:
        values = _Shown(parsed.bare).value(parsed.bare, given)
        refuse_illogical(parsed.names, parsed.schema, values)
    except Mismatch as mismatch:
        raise BodyError(f"{type_name}: the text doesn't fit the schema: {mismatch}") from None
    body = BytesIO()
    body.write(parsed.header)
    schemaless_writer(body, parsed.bare, values)
    return body.getvalue()


def _read(parsed: ParsedSchema, body: bytes) -> Any:
    stream = BytesIO(body)
    stream.seek(HEADER_BYTES)
    try:
        values = schemaless_reader(stream, parsed.bare, None, return_named_type=True)
    except Exception as error:
        raise BodyError(f"{parsed.name}: the body can't be read: {type(error).__name__}") from None
    if stream.tell() != len(body):
        raise BodyError(f"{parsed.name}: bytes are left over after the record")
    return values


def _parsed(type_name: str, text: str) -> Any:
    if len(text) > MAX_TEXT:
        raise BodyError(f"{type_name}: longer than {MAX_TEXT} characters")
    try:
        given = json.loads(text, object_pairs_hook=_each_once, parse_float=_finite)
    except (ValueError, RecursionError) as error:
        raise BodyError(f"{type_name}: not JSON: {error}") from None
    if not isinstance(given, dict):
        raise BodyError(f"{type_name}: not a JSON object")
    return given


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    given = dict(pairs)
    if len(given) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"{_printable(twice)} is there twice")
    return given


def _finite(digits: str) -> float:
    value = float(digits)
    if math.isinf(value):
        raise ValueError("a number larger than any float")
    return value


def _printable(name: str) -> str:
    return repr(name[:100])[1:-1].encode(errors="backslashreplace").decode()


_LIMITS = {"int": 2**31, "long": 2**63}
_CLASSES: dict[str, tuple[type, ...]] = {
    "null": (type(None),),
    "boolean": (bool,),
    "int": (int,),
    "long": (int,),
    "float": (float,),
    "double": (float,),
    "bytes": (bytes,),
    "string": (str,),
    "array": (list,),
    "map": (dict,),
}


class _Shown:
    """The two conversions between decoded values and JSON, by a schema in canonical form."""

    def __init__(self, schema: Schema) -> None:
        self._names: dict[str, Schema] = {}
        self._define(schema)
        self._values: dict[str, Callable[[Any, Any], Any]] = {
            "record": self._record,
            "array": self._array,
            "map": self._map,
            "enum": self._enum,
            "fixed": self._fixed,
            "bytes": lambda _, given: _bytes(given),
            "string": lambda _, given: _string(given),
            "boolean": lambda _, given: _only(bool, given),
            "null": lambda _, given: _only(type(None), given),
        }

    def json(self, schema: Schema, value: Any) -> Any:
        """Return a decoded value as JSON."""
        schema = self._resolved(schema)
        if isinstance(schema, list):
            return self._branch_json(schema, value)
        kind = _kind(schema)
        if kind == "record":
            return {f["name"]: self.json(f["type"], value[f["name"]]) for f in schema["fields"]}
        if kind == "array":
            return [self.json(schema["items"], item) for item in value]
        if kind == "map":
            return {key: self.json(schema["values"], item) for key, item in value.items()}
        return value.decode("latin-1") if isinstance(value, bytes) else value

    def value(self, schema: Schema, given: Any) -> Any:
        """Return the value that JSON means. Raises `Mismatch` where the schema can't hold it."""
        schema = self._resolved(schema)
        if isinstance(schema, list):
            return self._branch_value(schema, given)
        convert: Callable[[Any, Any], Any] = self._values.get(_kind(schema), _number)
        return convert(schema, given)

    def _define(self, schema: Schema) -> None:
        if isinstance(schema, list):
            for branch in schema:
                self._define(branch)
        elif isinstance(schema, dict):
            if "name" in schema:
                self._names[schema["name"]] = schema
            for part in (
                *(f["type"] for f in schema.get("fields", ())),
                schema.get("items"),
                schema.get("values"),
            ):
                self._define(part)

    def _resolved(self, schema: Schema) -> Schema:
        return self._names.get(schema, schema) if isinstance(schema, str) else schema

    def _branch_json(self, branches: list[Schema], value: Any) -> Any:
        if value is None:
            return None
        named = value if type(value) is tuple else None
        for branch in map(self._resolved, branches):
            if named and _title(branch) == named[0]:
                return {named[0]: self.json(branch, named[1])}
            if not named and type(value) in _CLASSES.get(_kind(branch), ()):
                return {_title(branch): self.json(branch, value)}
        raise AssertionError("a value was decoded by none of its union's branches")

    def _branch_value(self, branches: list[Schema], given: Any) -> Any:
        known = {_title(branch): branch for branch in map(self._resolved, branches)}
        if given is None and "null" in known:
            return None
        if not isinstance(given, dict) or len(given) != 1:
            raise Mismatch(f'a union: write one of {", ".join(known)}, as in {{"{next(iter(known))}": …}}')
        ((title, inner),) = given.items()
        if title not in known or title == "null":
            raise Mismatch(f"can't hold that value: it holds {', '.join(known)}")
        return title, _inside(title, self.value, known[title], inner)

    def _record(self, schema: Any, given: Any) -> dict[str, Any]:
        _only(dict, given)
        fields = {field["name"]: field["type"] for field in schema["fields"]}
        for name in given:
            if name not in fields:
                raise Mismatch(f"no field is called {_printable(name)}")
        for name in fields:
            if name not in given:
                raise Mismatch(f"{name} is missing")
        return {name: _inside(name, self.value, fields[name], given[name]) for name in fields}

    def _array(self, schema: Any, given: Any) -> list[Any]:
        return [
            _inside(f"[{number}]", self.value, schema["items"], item)
            for number, item in enumerate(_only(list, given))
        ]

    def _map(self, schema: Any, given: Any) -> dict[str, Any]:
        return {
            _string(key): _inside("{}", self.value, schema["values"], item)
            for key, item in _only(dict, given).items()
        }

    def _enum(self, schema: Any, given: Any) -> Any:
        if given not in schema["symbols"]:
            raise Mismatch(f"can't hold that value: it holds {', '.join(schema['symbols'])}")
        return given

    def _fixed(self, schema: Any, given: Any) -> bytes:
        value = _bytes(given)
        if len(value) != schema["size"]:
            raise Mismatch(f"can't hold that value: it holds {schema['size']} bytes")
        return value


def _inside(name: str, convert: Callable[[Any, Any], Any], schema: Schema, given: Any) -> Any:
    try:
        return convert(schema, given)
    except Mismatch as mismatch:
        raise mismatch.inside(name) from None


def _only(cls: type, given: Any) -> Any:
    if type(given) is not cls:
        raise Mismatch(f"can't hold that value: expected {_JSON[cls]}")
    return given


_JSON: dict[type, str] = {
    dict: "an object",
    list: "an array",
    str: "a string",
    bool: "true or false",
    type(None): "null",
}


def _number(schema: Schema, given: Any) -> int | float:
    kind = _kind(schema)
    is_whole = kind in _LIMITS
    if type(given) not in ((int,) if is_whole else (int, float)):
        raise Mismatch(f"can't hold that value: expected {'a whole number' if is_whole else 'a number'}")
    if is_whole:
        limit = _LIMITS[kind]
        if not -limit <= given < limit:
            raise Mismatch(f"can't hold that value: no {kind} is so large")
        return int(given)
    return _exact(kind, given)


def _exact(kind: str, given: int | float) -> float:
    try:
        value = float(given)
    except OverflowError:
        value = math.inf
    if value != given and not math.isnan(value):
        raise Mismatch(f"can't hold that value: no {kind} holds it exactly")
    return value


def _string(given: Any) -> str:
    text: str = _only(str, given)
    try:
        text.encode()
    except UnicodeEncodeError:
        raise Mismatch("can't hold that value: half of a surrogate pair is no text") from None
    return text


def _bytes(given: Any) -> bytes:
    try:
        text: str = _only(str, given)
        return text.encode("latin-1")
    except UnicodeEncodeError:
        raise Mismatch("can't hold that value: bytes are written as characters up to \\u00ff") from None


def _kind(schema: Schema) -> str:
    return str(schema["type"]) if isinstance(schema, dict) else str(schema)


def _title(branch: Schema) -> str:
    return str(branch["name"]) if isinstance(branch, dict) and "name" in branch else _kind(branch)
