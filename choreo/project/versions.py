"""Finds earlier versions of events, in the folder of schemas and in an older revision of the repository."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from choreo.avro import logical_changes, parse_schema
from choreo.avro.schema_files import read_schema, schema_files
from choreo.errors import SchemaError
from choreo.manifest import Manifest, SchemaEntry
from choreo.project.revision import contents_at

Versions = dict[str, dict[str, Any]]
"""The schemas of each event, by fingerprint; where logical types differ, a number follows it."""


def versions_in(path: Path) -> Versions:
    """Return the versions in a folder of schemas, without unusable files.

    `choreo schemas check` reports unusable files.
    """
    return _versions_in(
        str(path), tuple(each.stat().st_mtime_ns for each in (path, path / "history") if each.is_dir())
    )


@lru_cache(maxsize=8)
def _versions_in(path: str, _modified: tuple[int, ...]) -> Versions:
    return versions_of(_readable(schema_files(Path(path)), read_schema))


def versions_at(revision: str, path: Path) -> Versions:
    """Return the versions that a folder of schemas held in a revision of its git repository.

    Raises `ConfigurationError` where git doesn't know the revision, the revision doesn't have the folder, or
    there is no repository.
    """
    return versions_of(_readable(contents_at(revision, path, ".avsc"), json.loads))


def with_versions(manifests: Iterable[Manifest], versions: Versions) -> list[Manifest]:
    """Return the manifests with those versions of their events added that they don't have yet."""
    return [
        replace(
            each, schemas={name: _with(entry, versions.get(name, {})) for name, entry in each.schemas.items()}
        )
        for each in manifests
    ]


def is_same_version(one: Any, other: Any) -> bool:
    """Whether two schemas with one fingerprint agree in logical types too, which it doesn't cover."""
    return one == other or not logical_changes(parse_schema(one), parse_schema(other))


def _with(entry: SchemaEntry, versions: dict[str, list[Any]]) -> SchemaEntry:
    known = [entry.schema, *entry.earlier]
    others = (
        schema
        for mark, schema in sorted(versions.items())
        if mark.partition(" ")[0] != entry.fingerprint or not is_same_version(schema, entry.schema)
    )
    return replace(entry, earlier=(*entry.earlier, *(schema for schema in others if schema not in known)))


def _readable(items: Iterable[Any], read: Any) -> Iterator[Any]:
    for item in items:
        try:
            yield read(item)
        except (SchemaError, ValueError, RecursionError):
            continue


def versions_of(schemas: Iterable[Any]) -> Versions:
    """Return schemas by event and fingerprint, without those that can't be parsed."""
    found: Versions = {}
    for schema in schemas:
        try:
            definition = parse_schema(schema)
        except SchemaError:
            continue
        versions = found.setdefault(definition.name, {})
        mark, number = definition.fingerprint, 1
        while mark in versions and not is_same_version(versions[mark], schema):
            number += 1
            mark = f"{definition.fingerprint} {number}"
        versions[mark] = schema
    return found
