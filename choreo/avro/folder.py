"""Schema files: reading them without trust, and finding a writer's schema by its fingerprint."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from choreo.avro.definition import Definition, define
from choreo.errors import SchemaError

MAX_BYTES = 1024 * 1024
"""The size beyond which a schema file is refused."""

HISTORY = "history"
SUFFIX = ".avsc"


def read_schema(path: Path) -> Any:
    """Read a schema file as JSON.

    Raises `SchemaError`, naming the path, when it can't be read, is larger than MAX_BYTES or isn't JSON.
    """
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise SchemaError(f"{path}: can't be read: {error.strerror}") from None
    if len(content) > MAX_BYTES:
        raise SchemaError(f"{path}: larger than {MAX_BYTES} bytes", hint="is it a schema?")
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        raise SchemaError(f"{path}: not JSON", hint="write it anew: choreo schemas write") from None


def read_definition(path: Path) -> Definition:
    """Read and parse a schema file. Raises `SchemaError`, naming the path."""
    schema = read_schema(path)
    try:
        return define(schema)
    except SchemaError as error:
        raise SchemaError(f"{path}: {error.message}", hint=error.hint) from None


def schema_files(folder: Path) -> Iterator[Path]:
    """Give the current and the old schema files of a folder, in order; none where it doesn't exist."""
    yield from sorted(folder.glob(f"*{SUFFIX}"))
    yield from sorted((folder / HISTORY).glob(f"*{SUFFIX}"))


class SchemaFolders:
    """Finds schemas by fingerprint in folders, reading them when the first is asked for.

    A file counts by what is in it, never by its name; one that can't be used is passed over here, and
    reported by `check_schemas`. For a fingerprint still unknown the folders are read again, changed
    files only and at most every ``interval`` seconds, so that a flood of such records is cheap.
    """

    def __init__(
        self,
        folders: Sequence[Path] = (),
        *,
        interval: float = 1.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._folders = [Path(folder) for folder in folders]
        self._interval = interval
        self._clock = clock
        self._scanned: float | None = None
        self._seen: dict[Path, tuple[int, int]] = {}
        self._found: dict[str, Definition] = {}

    def find(self, fingerprint: str) -> Definition | None:
        """Give the schema of that fingerprint (hex, as in a body), or None."""
        found = self._found.get(fingerprint)
        if found is not None or not self._is_due():
            return found
        self._scan()
        return self._found.get(fingerprint)

    def _is_due(self) -> bool:
        now = self._clock()
        if self._scanned is not None and now - self._scanned < self._interval:
            return False
        self._scanned = now
        return bool(self._folders)

    def _scan(self) -> None:
        for folder in self._folders:
            for path in schema_files(folder):
                self._take(path)

    def _take(self, path: Path) -> None:
        try:
            state = path.stat()
            mark = (state.st_mtime_ns, state.st_size)
            if self._seen.get(path) == mark:
                return
            self._seen[path] = mark
            definition = read_definition(path)
        except (OSError, SchemaError):
            return
        self._found.setdefault(definition.fingerprint, definition)
