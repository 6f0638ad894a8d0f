"""Avro's JSON encoding: bodies as readable text.

Source: Apache Avro 1.12 specification, "JSON Encoding": a union's value names its type, as in
``{"string": "x"}``, unless it is null.
"""

from __future__ import annotations

import json
from io import BytesIO, StringIO
from pathlib import Path
from typing import Any

from fastavro import json_reader, json_writer, schemaless_reader, schemaless_writer

from choreo.avro.schema import HEADER_BYTES, MARKER, ParsedSchema
from choreo.avro.schema_files import SUFFIX, SchemaFolders, read_parsed_schema
from choreo.errors import BodyError, SchemaError

MAX_TEXT = 4 * 1024 * 1024
"""The length beyond which text is refused."""


def text_of(type_name: str, body: bytes | None, folder: Path) -> str:
    """Return a body as indented JSON, with its writer's schema.

    Raises `BodyError` where there is none, its schema isn't in ``folder``, or it doesn't fit the schema.
    """
    if body is None or body[:2] != MARKER or len(body) < HEADER_BYTES:
        raise BodyError(f"{type_name}: the body is not in Avro's single-object encoding")
    fingerprint = body[2:HEADER_BYTES].hex()
    writer = SchemaFolders([folder]).find(fingerprint)
    if writer is None:
        raise BodyError(f"{type_name}: no schema in {folder} has the fingerprint {fingerprint}")
    return _text(writer, _read(writer, body))


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
    _refuse_missing(type_name, parsed, given)
    try:
        (values,) = json_reader(StringIO(json.dumps(given)), parsed.bare)
        body = BytesIO(parsed.header)
        body.seek(HEADER_BYTES)
        schemaless_writer(body, parsed.bare, values, strict=True)
    except Exception as error:
        raise BodyError(f"{type_name}: the text doesn't fit the schema: {error}") from None
    written = body.getvalue()
    _refuse_loss(type_name, given, json.loads(_text(parsed, _read(parsed, written))))
    return written


def _read(parsed: ParsedSchema, body: bytes) -> Any:
    stream = BytesIO(body)
    stream.seek(HEADER_BYTES)
    try:
        values = schemaless_reader(stream, parsed.bare, None)
    except Exception as error:
        raise BodyError(f"{parsed.name}: the body can't be read: {type(error).__name__}") from None
    if stream.tell() != len(body):
        raise BodyError(f"{parsed.name}: bytes are left over after the record")
    return values


def _parsed(type_name: str, text: str) -> Any:
    if len(text) > MAX_TEXT:
        raise BodyError(f"{type_name}: longer than {MAX_TEXT} characters")
    try:
        given = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BodyError(f"{type_name}: not JSON: {error}") from None
    if not isinstance(given, dict):
        raise BodyError(f"{type_name}: not a JSON object")
    return given


def _refuse_missing(type_name: str, parsed: ParsedSchema, given: Any) -> None:
    missing = [field["name"] for field in parsed.bare["fields"] if field["name"] not in given]
    if missing:
        raise BodyError(f"{type_name}: {missing[0]} is missing")


def _refuse_loss(type_name: str, given: Any, kept: Any, path: str = "") -> None:
    """Raise `BodyError` for a value that the schema loses: an unknown field, a fraction in an integer."""
    if isinstance(given, dict) and isinstance(kept, dict):
        for name, value in given.items():
            if name not in kept:
                raise BodyError(f"{type_name}: no field is called {path}{name}")
            _refuse_loss(type_name, value, kept[name], f"{path}{name}.")
    elif isinstance(given, list) and isinstance(kept, list) and len(given) == len(kept):
        for number, pair in enumerate(zip(given, kept, strict=True)):
            _refuse_loss(type_name, *pair, f"{path}{number}.")
    elif given != kept:
        raise BodyError(f"{type_name}: {path[:-1]} can't hold that value")


def _text(parsed: ParsedSchema, values: Any) -> str:
    written = StringIO()
    json_writer(written, parsed.bare, [values])
    return json.dumps(json.loads(written.getvalue()), indent=2, ensure_ascii=False)
