"""Writes and reads exports as files, as JSON lines or as Avro object container files.

A JSON line is ``{"row": {...}}``, with bytes in base64. Source of the Avro format: Apache Avro 1.12
specification, "Object Container Files".
"""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import fastavro

from choreo import drafts
from choreo.audit.export import BYTES, COLUMNS, HINT, Origin, Record, rows_in
from choreo.chain import Row
from choreo.errors import ArchiveError

MAX_LINE = 32 * 1024 * 1024
"""The length beyond which a line is refused, in bytes."""

_MAGIC = b"Obj\x01"
"""What an Avro file begins with."""
_NAMESPACE = "choreo.log"
_TYPES: dict[type, Any] = {int: "long", str: "string", bytes: ["null", "bytes"]}


def _record(name: str, fields: dict[str, Any]) -> dict[str, Any]:
    listed = [{"name": field, "type": kind} for field, kind in fields.items()]
    return {"type": "record", "name": name, "namespace": _NAMESPACE, "fields": listed}


_HEAD = _record(
    "head",
    {
        "format": "string",
        "version": "long",
        "participant": "string",
        "store_id": "string",
        "unchained": "long",
    },
)
_HEAD["fields"].append({"name": "keyed_by_id", "type": ["null", "long"], "default": None})
_SCHEMA = fastavro.parse_schema(
    [
        _HEAD,
        _record("row", {name: _TYPES[kind] for name, kind in COLUMNS.items()}),
        _record("end", {"sagas": "long", "rows": "long", "digest": "bytes"}),
    ]
)


@contextmanager
def whole_file(path: Path) -> Iterator[IO[bytes]]:
    """Open a private file that takes the place of ``path`` when the block succeeds, and is gone otherwise."""
    try:
        with drafts.whole_file(path, drafts.PRIVATE) as file:
            yield file
    except OSError as error:
        raise ArchiveError(f"{path} can't be written: {error.strerror}", hint="check the folder") from None


def write_json_lines(records: Iterable[Record], file: IO[bytes]) -> None:
    """Write an export as JSON lines."""
    for kind, fields in records:
        values = {name: b64encode(v).decode() if isinstance(v, bytes) else v for name, v in fields.items()}
        file.write(json.dumps({kind: values}, separators=(",", ":")).encode() + b"\n")


def write_avro(records: Iterable[Record], file: IO[bytes]) -> None:
    """Write an export as an Avro file, compressed."""
    named = ((f"{_NAMESPACE}.{kind}", fields) for kind, fields in records)
    fastavro.writer(file, _SCHEMA, named, codec="deflate")


def read_export(file: IO[bytes]) -> tuple[Origin, Iterator[Row]]:
    """Read an export in either format. Raises `ArchiveError`, also while its rows are read."""
    begin = file.read(len(_MAGIC))
    file.seek(0)
    return rows_in(_read_avro(file) if begin == _MAGIC else _read_json_lines(file))


def _read_json_lines(file: IO[bytes]) -> Iterator[Record]:
    number = 0
    while line := file.readline(MAX_LINE):
        number += 1
        try:
            ((kind, fields),) = json.loads(line).items()
            yield kind, {name: _value(name, value) for name, value in fields.items()}
        except (ValueError, TypeError, AttributeError, RecursionError):
            raise ArchiveError(f"line {number} can't be read", hint=HINT) from None


def _value(name: str, value: Any) -> Any:
    return b64decode(value, validate=True) if name in BYTES and value is not None else value


def _read_avro(file: IO[bytes]) -> Iterator[Record]:
    try:
        reader: Iterable[Any] = fastavro.reader(file, _SCHEMA, return_record_name=True)
        for name, fields in reader:
            yield name.removeprefix(f"{_NAMESPACE}."), fields
    except ArchiveError:
        raise
    except Exception as error:  # whatever fastavro makes of bytes that are no container
        raise ArchiveError(f"it can't be read as Avro: {type(error).__name__}", hint=HINT) from None
