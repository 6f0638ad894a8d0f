"""Answers made by schemas alone: of a step that nothing declares any more, so that its classes are gone."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from typing import Any

from fastavro import schemaless_reader, schemaless_writer

from choreo.avro.schema import HEADER_BYTES, ParsedSchema
from choreo.avro.types import Schema
from choreo.errors import BodyError

_REASON = "reason"


def answer_body(answer: ParsedSchema, sources: Sequence[tuple[ParsedSchema, bytes]], reason: str) -> bytes:
    """Return the body of an answer, from the fields of the same name and type of the events in ``sources``.

    Of several that have a field the last one counts; ``reason`` fills the field of that name. Raises
    `BodyError` where a field is missing that has no default, or a body can't be read.
    """
    values: dict[str, Any] = {}
    for writer, body in sources:
        values.update(_shared(writer, _read(writer, body), answer))
    missing = []
    for field in answer.schema["fields"]:
        if field["name"] == _REASON and _takes_text(field["type"]):
            values[_REASON] = reason
        elif field["name"] not in values and "default" in field:
            values[field["name"]] = field["default"]
        elif field["name"] not in values:
            missing.append(field["name"])
    if missing:
        raise BodyError(
            f"{answer.name} can't be built: no field {', '.join(missing)} of the same type came before"
        )
    stream = BytesIO()
    stream.write(answer.header)
    try:
        schemaless_writer(stream, answer.bare, values)
    except Exception as error:
        raise BodyError(f"{answer.name}: can't be encoded: {type(error).__name__}") from None
    return stream.getvalue()


def _read(writer: ParsedSchema, body: bytes) -> dict[str, Any]:
    stream = BytesIO(body)
    stream.seek(HEADER_BYTES)
    try:
        values: Any = schemaless_reader(stream, writer.bare, None, return_named_type=True)
    except Exception as error:
        raise BodyError(f"{writer.name}: the body can't be read: {type(error).__name__}") from None
    if stream.tell() != len(body) or not isinstance(values, dict):
        raise BodyError(f"{writer.name}: bytes are left over after the record")
    return values


def _shared(writer: ParsedSchema, values: dict[str, Any], answer: ParsedSchema) -> dict[str, Any]:
    given = {field["name"]: _form(field["type"], writer) for field in writer.schema["fields"]}
    return {
        field["name"]: values[field["name"]]
        for field in answer.schema["fields"]
        if field["name"] in given and _fits(given[field["name"]], _form(field["type"], answer))
    }


def _fits(given: Any, wanted: Any) -> bool:
    branches = wanted if isinstance(wanted, list) else [wanted]
    return given == wanted or all(
        each in branches for each in (given if isinstance(given, list) else [given])
    )


def _takes_text(schema: Schema) -> bool:
    return "string" in (schema if isinstance(schema, list) else [schema])


def _form(schema: Schema, within: ParsedSchema) -> Any:
    """Return what distinguishes a type from others, with the types that it names written out."""
    if isinstance(schema, str):
        return _form(within.names[schema], within) if schema in within.names else (schema,)
    if isinstance(schema, list):
        return [_form(branch, within) for branch in schema]
    kind = schema["type"]
    if kind in ("record", "error"):
        fields = [(field["name"], _form(field["type"], within)) for field in schema["fields"]]
        return kind, schema["name"], fields
    if isinstance(kind, dict | list):
        return _form(kind, within)
    inner = [_form(schema[part], within) for part in ("items", "values") if part in schema]
    marks = ("name", "symbols", "size", "logicalType", "precision", "scale")
    details = [(mark, schema[mark]) for mark in marks if mark in schema]
    return (kind, *inner, *details)
