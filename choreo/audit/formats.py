"""Writes and reads exports as files, as JSON lines or as Avro object container files.

A JSON line is ``{"row": {...}}``, with bytes in base64. Source of the Avro format: Apache Avro 1.12
specification, "Object Container Files".
"""

from __future__ import annotations

import json
import re
import zlib
from base64 import b64decode, b64encode
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import IO, Any

import fastavro

from choreo import drafts
from choreo.audit.export import BYTES, COLUMNS, HINT, Origin, Record, rows_in
from choreo.chain import Row
from choreo.errors import ArchiveError
from choreo.limits import EXPORT_HEADER, EXPORT_ROW

_MAGIC = b"Obj\x01"
"""What an Avro file begins with."""
_FLAT = ("string", "bytes", "long", *(["null", kind] for kind in ("string", "bytes", "long")))
"""The types of an export's fields."""
_METADATA = {"type": "map", "values": "bytes"}
_SYNC_BYTES = 16

_TEXT = re.compile(rb'"(?:[^"\\]|\\.)*"')
_LONG_LINE = 64 * 1024
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
        _record("release", {"text": "string"}),
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
    while line := file.readline(EXPORT_ROW):
        number += 1
        try:
            _refuse_nested(line)
            ((kind, fields),) = json.loads(line).items()
            yield kind, {name: _value(name, value) for name, value in fields.items()}
        except (ValueError, TypeError, AttributeError, RecursionError):
            raise ArchiveError(f"line {number} can't be read", hint=HINT) from None


def _refuse_nested(line: bytes) -> None:
    """Raise `ValueError` for a long line of many small parts, which would take many times its memory."""
    if len(line) > _LONG_LINE and len(_TEXT.sub(b"", line)) > _LONG_LINE:
        raise ValueError("not a row")


def _value(name: str, value: Any) -> Any:
    return b64decode(value, validate=True) if name in BYTES and value is not None else value


def _read_avro(file: IO[bytes]) -> Iterator[Record]:
    try:
        for name, fields in _container(file):
            yield name.removeprefix(f"{_NAMESPACE}."), fields
    except ArchiveError:
        raise
    except Exception as error:  # whatever fastavro makes of bytes that are no container
        raise ArchiveError(f"it can't be read as Avro: {type(error).__name__}", hint=HINT) from None


def _container(file: IO[bytes]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the records of an object container file.

    fastavro's reader bounds neither what a block decompresses to, nor what the file's own schema makes of it.
    """
    header = BytesIO(file.read(EXPORT_HEADER))
    header.seek(len(_MAGIC))
    metadata: Any = fastavro.schemaless_reader(header, _METADATA, None)
    sync = header.read(_SYNC_BYTES)
    file.seek(header.tell())
    schema = _flat_schema(json.loads(metadata["avro.schema"]))
    codec = metadata.get("avro.codec", b"null").decode()
    while (count := _long(file)) is not None:
        stream = BytesIO(_block(file, codec))
        if file.read(_SYNC_BYTES) != sync:
            raise ArchiveError("a block of it is damaged", hint=HINT)
        for _ in range(count):
            record: Any = fastavro.schemaless_reader(stream, schema, _SCHEMA, return_record_name=True)
            yield record
        if stream.read(1):
            raise ArchiveError("a block of it holds more than it says", hint=HINT)


def _flat_schema(schema: Any) -> Any:
    """Return a file's schema, parsed, where its records hold nothing but texts, numbers and bytes."""
    fields = [field for record in schema for field in record["fields"]]
    if not all(record["type"] == "record" for record in schema) or not all(
        field["type"] in _FLAT for field in fields
    ):
        raise ArchiveError("its schema is not that of an export", hint=HINT)
    return fastavro.parse_schema(schema)


def _block(file: IO[bytes], codec: str) -> bytes:
    size = _long(file)
    if size is None or not 0 <= size <= EXPORT_ROW:
        raise ArchiveError(f"a block of it is larger than {EXPORT_ROW} bytes, or cut off", hint=HINT)
    block = file.read(size)
    if codec == "null":
        return block
    if codec != "deflate":
        raise ArchiveError(f"it is compressed with {codec[:20]!r}, not with deflate", hint=HINT)
    inflate = zlib.decompressobj(-zlib.MAX_WBITS)
    whole = inflate.decompress(block, EXPORT_ROW)
    if not inflate.eof:
        raise ArchiveError(f"a block of it is larger than {EXPORT_ROW} bytes, or cut off", hint=HINT)
    return whole


def _long(file: IO[bytes]) -> int | None:
    """Return the next long of a file, None at its end."""
    value = shift = 0
    while byte := file.read(1):
        value |= (byte[0] & 0x7F) << shift
        if byte[0] < 0x80:
            return (value >> 1) ^ -(value & 1)
        shift += 7
        if shift > 63:
            break
    if not byte and not shift:
        return None
    raise ArchiveError("a number in it is cut off", hint=HINT)
