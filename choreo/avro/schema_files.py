"""Schema files: written from the event classes, committed, checked, and found by fingerprint.

``<folder>/<full name>.avsc`` is the current version; ``<folder>/history/<fingerprint>.avsc`` keeps every
version ever written, since topics may contain its events. The fingerprint is written as in a body
(little-endian hex), so that a hex dump of a body shows the file's name. Two versions that differ only in docs
or defaults share a fingerprint: the later one is kept. Two that differ only in logical types share it too;
since nothing in a body says which of them it is, the second is never written.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from choreo import limits
from choreo.avro.derivation import schema_of
from choreo.avro.resolution import incompatibilities, logical_changes
from choreo.avro.schema import ParsedSchema, parse_schema
from choreo.drafts import SHARED, whole_file
from choreo.errors import IncompatibleSchema, SchemaError
from choreo.events import event_name

MAX_BYTES = limits.SCHEMA
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


def read_parsed_schema(path: Path) -> ParsedSchema:
    """Read and parse a schema file. Raises `SchemaError`, naming the path."""
    schema = read_schema(path)
    try:
        return parse_schema(schema)
    except SchemaError as error:
        raise SchemaError(f"{path}: {error.message}", hint=error.hint) from None


def schema_files(folder: Path) -> Iterator[Path]:
    """Yield the current and the old schema files of a folder, in order; none where it doesn't exist."""
    yield from sorted(folder.glob(f"*{SUFFIX}"))
    yield from sorted((folder / HISTORY).glob(f"*{SUFFIX}"))


class SchemaFolders:
    """Finds schemas by fingerprint in folders, which are read at the first use.

    A file is identified by its content, never by its name; an unusable one is ignored here, and reported by
    `check_schemas`. For an unknown fingerprint the folders are read again, changed files only and at most
    every ``interval`` seconds, so that many such records are cheap.
    """

    def __init__(
        self,
        folders: Sequence[Path] = (),
        *,
        interval: float = 1.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._folders = [Path(folder).absolute() for folder in folders]
        self._interval = interval
        self._clock = clock
        self._scanned: float | None = None
        self._seen: dict[Path, tuple[int, int]] = {}
        self._found: dict[str, dict[Path, ParsedSchema]] = {}

    def find(self, fingerprint: str) -> list[ParsedSchema]:
        """Return the schemas of that fingerprint (hex, as in a body).

        More than one where the files differ in logical types, which a fingerprint doesn't cover.
        """
        if fingerprint not in self._found and self._is_due():
            self._scan()
        return _told_apart(self._found.get(fingerprint, {}).values())

    def like(self, own: ParsedSchema) -> list[ParsedSchema]:
        """Return the schemas with the fingerprint of ``own``, of the files that are named for it."""
        for folder in self._folders:
            for path in (_current(folder, own.name), _past(folder, own.fingerprint)):
                self._take(path)
        return _told_apart(self._found.get(own.fingerprint, {}).values())

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
            parsed = read_parsed_schema(path)
        except (OSError, SchemaError):
            return
        self._found.setdefault(parsed.fingerprint, {})[path] = parsed


def _told_apart(versions: Iterable[ParsedSchema]) -> list[ParsedSchema]:
    """Return the versions without those that mean the same as one before them."""
    kept: list[ParsedSchema] = []
    for version in versions:
        if all(logical_changes(version, other) for other in kept):
            kept.append(version)
    return kept


_WRITE = "choreo schemas write"


@dataclass(frozen=True)
class Finding:
    """A problem of a schema file: the path, the problem, and what to do about it."""

    path: Path
    message: str
    hint: str = ""


def write_schemas(events: Iterable[type], folder: Path, *, allow_incompatible: bool = False) -> list[Path]:
    """Write the schemas of events; return the files that changed.

    Raises `IncompatibleSchema`, before anything is written, when a version can't share a topic with one of
    the history, unless ``allow_incompatible``. Such a pair remains a finding of `check_schemas` until the old
    version's file is deleted. A version that differs from an old one in logical types alone is refused in any
    case. Raises `SchemaError` when an event has no schema or a file can't be read or
    written.
    """
    schemas = _derived(events)
    _refuse_incompatible(schemas, folder, allow_incompatible)
    changed = []
    for name, (schema, parsed) in schemas.items():
        text = _text(schema)
        for path in (_current(folder, name), _past(folder, parsed.fingerprint)):
            if _replace(path, text):
                changed.append(path)
    return changed


def check_schemas(events: Iterable[type], folder: Path) -> list[Finding]:
    """Compare the schema files with the events, without writing.

    Findings are files that are missing, different (docs and defaults too), or unusable, and versions that
    can't share a topic. Raises `SchemaError` when an event has no schema.
    """
    schemas = _derived(events)
    findings = [finding for name in schemas for finding in _drift(folder, name, *schemas[name])]
    history, unusable = _history(folder)
    findings += unusable
    findings += [
        Finding(path, "; ".join(reasons), _way_out(path, old, schemas[old.name][1]))
        for path, old, reasons in _conflicts(schemas, history)
    ]
    return findings


def _derived(events: Iterable[type]) -> dict[str, tuple[Any, ParsedSchema]]:
    schemas: dict[str, tuple[Any, ParsedSchema]] = {}
    owners: dict[str, type] = {}
    for cls in events:
        name = event_name(cls)
        if owners.setdefault(name, cls) is not cls:
            raise SchemaError(f"two events are both called {name}", hint="rename one of them")
        schema = schema_of(cls)
        schemas[name] = (schema, parse_schema(schema))
    return dict(sorted(schemas.items()))


def _refuse_incompatible(
    schemas: dict[str, tuple[Any, ParsedSchema]], folder: Path, allow_incompatible: bool
) -> None:
    history, unusable = _history(folder)
    if unusable and not allow_incompatible:
        raise SchemaError(unusable[0].message, hint=unusable[0].hint)
    conflicts = [
        (path, old, reasons)
        for path, old, reasons in _conflicts(schemas, history)
        if not allow_incompatible or logical_changes(old, schemas[old.name][1])
    ]
    if conflicts:
        path, old, _ = conflicts[0]
        listed = "".join(f"\n  {p}: {old.name}: {reason}" for p, old, why in conflicts for reason in why)
        raise IncompatibleSchema(
            f"incompatible with versions in the history:{listed}",
            hint=_way_out(path, old, schemas[old.name][1]),
        )


def _way_out(path: Path, old: ParsedSchema, new: ParsedSchema) -> str:
    if logical_changes(old, new):
        return (
            f"bodies of both have one fingerprint, {old.fingerprint}, so no reader can tell them apart: "
            f"give the field, or the new {old.name}, another name; "
            f"once no topic holds the old version, delete {path.name}"
        )
    return (
        f"give new fields a default, or the new {old.name} another name; "
        f"once no topic holds the old version, delete {path.name}"
    )


def _history(folder: Path) -> tuple[dict[Path, ParsedSchema], list[Finding]]:
    """Return the old versions that can be used, and a finding for each that can't."""
    usable: dict[Path, ParsedSchema] = {}
    findings = []
    for path in sorted((folder / HISTORY).glob(f"*{SUFFIX}")):
        try:
            parsed = usable[path] = read_parsed_schema(path)
        except SchemaError as error:
            findings.append(Finding(path, error.message, error.hint))
            continue
        if path.stem != parsed.fingerprint:
            findings.append(
                Finding(
                    path,
                    f"{path}: its content has the fingerprint {parsed.fingerprint}",
                    "it was edited or renamed: restore it",
                )
            )
    return usable, findings


def _conflicts(
    schemas: dict[str, tuple[Any, ParsedSchema]], history: dict[Path, ParsedSchema]
) -> Iterator[tuple[Path, ParsedSchema, list[str]]]:
    for path, old in history.items():
        if old.name in schemas:
            reasons = incompatibilities(old, schemas[old.name][1])
            if reasons:
                yield path, old, reasons


def _drift(folder: Path, name: str, schema: Any, parsed: ParsedSchema) -> Iterator[Finding]:
    current = _current(folder, name)
    for path in (current, _past(folder, parsed.fingerprint)):
        if not path.exists():
            yield Finding(path, f"{path}: missing", _WRITE)
            continue
        try:
            same = _text(read_schema(path), sort_keys=True) == _text(schema, sort_keys=True)
        except SchemaError as error:
            if path == current:
                yield Finding(path, error.message, error.hint)
            continue
        if not same:
            yield Finding(path, f"{path}: differs from {name} in the code", _WRITE)


def other_schemas(events: Iterable[type], folder: Path) -> list[Path]:
    """Return the current files of other events: of other services that share the folder, or left over."""
    names = {event_name(cls) for cls in events}
    return [path for path in sorted(folder.glob(f"*{SUFFIX}")) if path.name.removesuffix(SUFFIX) not in names]


def _current(folder: Path, name: str) -> Path:
    return folder / f"{name}{SUFFIX}"


def _past(folder: Path, fingerprint: str) -> Path:
    return folder / HISTORY / f"{fingerprint}{SUFFIX}"


def _text(schema: Any, *, sort_keys: bool = False) -> str:
    return json.dumps(schema, indent=2, ensure_ascii=False, sort_keys=sort_keys) + "\n"


def _replace(path: Path, text: str) -> bool:
    """Write a file atomically, and return whether it changed."""
    content = text.encode()
    try:
        if path.exists() and path.read_bytes() == content:
            return False
        path.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(path, SHARED) as file:
            file.write(content)
    except OSError as error:
        raise SchemaError(f"{path}: can't be written: {error.strerror}") from None
    return True
