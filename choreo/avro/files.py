"""Schema files: written from the event classes, committed, and checked.

``<folder>/<full name>.avsc`` is the current version; ``<folder>/history/<fingerprint>.avsc`` keeps
every version ever written, since the log still holds its events. The fingerprint stands there as it
does in a body (little-endian hex), so that what a hex dump shows is a file's name. Two versions that
differ only in docs or defaults share a fingerprint: the later one is kept.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from choreo.avro.compatibility import incompatibilities
from choreo.avro.definition import Definition, define
from choreo.avro.derivation import schema_of
from choreo.avro.folder import HISTORY, SUFFIX, read_definition, read_schema
from choreo.errors import IncompatibleSchema, SchemaError
from choreo.events import event_name

_WRITE = "choreo schemas write"


@dataclass(frozen=True)
class Finding:
    """Something wrong with a schema file: where, what, and what to do about it."""

    path: Path
    message: str
    hint: str = ""


def write_schemas(events: Iterable[type], folder: Path, *, allow_incompatible: bool = False) -> list[Path]:
    """Write the schemas of events; give the files that changed.

    Raises `IncompatibleSchema`, before anything is written, when a version could not live on one topic
    with one in the history, unless ``allow_incompatible``. Such a pair stays a finding of
    `check_schemas` until the old version's file is deleted. Raises `SchemaError` when an event has no
    schema or a file can't be read or written.
    """
    schemas = _derived(events)
    if not allow_incompatible:
        _refuse_incompatible(schemas, folder)
    changed = []
    for name, (schema, definition) in schemas.items():
        text = _text(schema)
        for path in (_current(folder, name), _past(folder, definition.fingerprint)):
            if _replace(path, text):
                changed.append(path)
    return changed


def check_schemas(events: Iterable[type], folder: Path) -> list[Finding]:
    """Compare the schema files with the events, without writing.

    Finds files missing, different (docs and defaults too), of no known event, or unusable, and versions
    that can't live on one topic. Raises `SchemaError` when an event has no schema.
    """
    schemas = _derived(events)
    findings = [finding for name in schemas for finding in _drift(folder, name, *schemas[name])]
    findings += _strays(folder, set(schemas))
    history, unusable = _history(folder)
    findings += unusable
    findings += [
        Finding(path, "; ".join(reasons), _way_out(path, old.name))
        for path, old, reasons in _conflicts(schemas, history)
    ]
    return findings


def _derived(events: Iterable[type]) -> dict[str, tuple[Any, Definition]]:
    schemas: dict[str, tuple[Any, Definition]] = {}
    owners: dict[str, type] = {}
    for cls in events:
        name = event_name(cls)
        if owners.setdefault(name, cls) is not cls:
            raise SchemaError(f"two events are both called {name}", hint="rename one of them")
        schema = schema_of(cls)
        schemas[name] = (schema, define(schema))
    return dict(sorted(schemas.items()))


def _refuse_incompatible(schemas: dict[str, tuple[Any, Definition]], folder: Path) -> None:
    history, unusable = _history(folder)
    if unusable:
        raise SchemaError(unusable[0].message, hint=unusable[0].hint)
    conflicts = list(_conflicts(schemas, history))
    if conflicts:
        path, old, _ = conflicts[0]
        listed = "".join(f"\n  {p}: {old.name}: {reason}" for p, old, why in conflicts for reason in why)
        raise IncompatibleSchema(
            f"incompatible with versions in the history:{listed}", hint=_way_out(path, old.name)
        )


def _way_out(path: Path, name: str) -> str:
    return (
        f"give new fields a default, or the new {name} another name; "
        f"once no log holds the old version, delete {path.name}"
    )


def _history(folder: Path) -> tuple[dict[Path, Definition], list[Finding]]:
    """Read the old versions; give those that can be used, and a finding for each that can't."""
    usable: dict[Path, Definition] = {}
    findings = []
    for path in sorted((folder / HISTORY).glob(f"*{SUFFIX}")):
        try:
            definition = usable[path] = read_definition(path)
        except SchemaError as error:
            findings.append(Finding(path, error.message, error.hint))
            continue
        if path.stem != definition.fingerprint:
            findings.append(
                Finding(
                    path,
                    f"{path}: its content has the fingerprint {definition.fingerprint}",
                    "it was edited or renamed: restore it",
                )
            )
    return usable, findings


def _conflicts(
    schemas: dict[str, tuple[Any, Definition]], history: dict[Path, Definition]
) -> Iterator[tuple[Path, Definition, list[str]]]:
    for path, old in history.items():
        if old.name in schemas:
            reasons = incompatibilities(old, schemas[old.name][1])
            if reasons:
                yield path, old, reasons


def _drift(folder: Path, name: str, schema: Any, definition: Definition) -> Iterator[Finding]:
    current = _current(folder, name)
    for path in (current, _past(folder, definition.fingerprint)):
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


def _strays(folder: Path, names: set[str]) -> Iterator[Finding]:
    for path in sorted(folder.glob(f"*{SUFFIX}")):
        if path.name.removesuffix(SUFFIX) not in names:
            yield Finding(path, f"{path}: of no known event", "delete it; its versions stay in the history")


def _current(folder: Path, name: str) -> Path:
    return folder / f"{name}{SUFFIX}"


def _past(folder: Path, fingerprint: str) -> Path:
    return folder / HISTORY / f"{fingerprint}{SUFFIX}"


def _text(schema: Any, *, sort_keys: bool = False) -> str:
    return json.dumps(schema, indent=2, ensure_ascii=False, sort_keys=sort_keys) + "\n"


def _replace(path: Path, text: str) -> bool:
    """Write a file, whole or not at all; say whether it changed."""
    content = text.encode()
    try:
        if path.exists() and path.read_bytes() == content:
            return False
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_name(f".{path.name}.new")
        draft.write_bytes(content)
        os.replace(draft, path)
    except OSError as error:
        raise SchemaError(f"{path}: can't be written: {error.strerror}") from None
    return True
