"""An export as an Avro object container file.

Source: Apache Avro 1.12 specification, "Object Container Files".
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import IO, Any

import fastavro

from choreo.audit.archive import COLUMNS, HINT, Record
from choreo.errors import ArchiveError

MAGIC = b"Obj\x01"
"""What such a file begins with."""

_NAMESPACE = "choreo.log"
_TYPES: dict[type, Any] = {int: "long", str: "string", bytes: ["null", "bytes"]}


def _record(name: str, fields: dict[str, Any]) -> dict[str, Any]:
    listed = [{"name": field, "type": kind} for field, kind in fields.items()]
    return {"type": "record", "name": name, "namespace": _NAMESPACE, "fields": listed}


_HEAD = {"format": "string", "version": "long", "participant": "string", "store_id": "string"}
_SCHEMA = fastavro.parse_schema(
    [
        _record("head", {**_HEAD, "unchained": "long"}),
        _record("row", {name: _TYPES[kind] for name, kind in COLUMNS.items()}),
        _record("end", {"sagas": "long", "rows": "long", "digest": "bytes"}),
    ]
)


def write_container(records: Iterable[Record], file: IO[bytes]) -> None:
    """Write an export, compressed."""
    named = ((f"{_NAMESPACE}.{kind}", fields) for kind, fields in records)
    fastavro.writer(file, _SCHEMA, named, codec="deflate")


def read_container(file: IO[bytes]) -> Iterator[Record]:
    """Read an export, block by block. Raises `ArchiveError`."""
    try:
        reader: Iterable[Any] = fastavro.reader(file, _SCHEMA, return_record_name=True)
        for name, fields in reader:
            yield name.removeprefix(f"{_NAMESPACE}."), fields
    except ArchiveError:
        raise
    except Exception as error:  # whatever fastavro makes of bytes that are no container
        raise ArchiveError(f"it can't be read as Avro: {type(error).__name__}", hint=HINT) from None
