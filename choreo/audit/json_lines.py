"""An export as JSON lines: ``{"row": {...}}``, bytes in base64."""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from collections.abc import Iterable, Iterator
from typing import IO, Any

from choreo.audit.archive import HINT, Record
from choreo.errors import ArchiveError

MAX_LINE = 32 * 1024 * 1024
"""The length beyond which a line is refused, in bytes."""

_BYTES = ("payload", "salt", "digest", "link")


def write_lines(records: Iterable[Record], file: IO[bytes]) -> None:
    """Write an export."""
    for kind, fields in records:
        told = {name: b64encode(v).decode() if isinstance(v, bytes) else v for name, v in fields.items()}
        file.write(json.dumps({kind: told}, separators=(",", ":")).encode() + b"\n")


def read_lines(file: IO[bytes]) -> Iterator[Record]:
    """Read an export, line by line. Raises `ArchiveError`."""
    number = 0
    while line := file.readline(MAX_LINE):
        number += 1
        try:
            ((kind, fields),) = json.loads(line).items()
            yield kind, {name: _value(name, value) for name, value in fields.items()}
        except (ValueError, TypeError, AttributeError, RecursionError):
            raise ArchiveError(f"line {number} can't be read", hint=HINT) from None


def _value(name: str, value: Any) -> Any:
    if name in _BYTES and value is not None:
        return b64decode(value, validate=True)
    return value
