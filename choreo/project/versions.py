"""Finds earlier versions of events, in the folder of schemas and in an older revision of the repository."""

from __future__ import annotations

import io
import json
import os
import subprocess
import tarfile
from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from choreo.avro import parse_schema
from choreo.avro.schema_files import read_schema, schema_files
from choreo.errors import ConfigurationError, SchemaError
from choreo.manifest import Manifest, SchemaEntry

Versions = dict[str, dict[str, Any]]
"""The schemas of each event, by fingerprint."""

_NAME_ONE = "name a commit, a tag or a branch that has it"
_MOST_BYTES = 256 * 1024 * 1024


def versions_in(path: Path) -> Versions:
    """Return the versions in a folder of schemas, without unusable files.

    `choreo schemas check` reports unusable files.
    """
    return _versions_in(
        str(path), tuple(each.stat().st_mtime_ns for each in (path, path / "history") if each.is_dir())
    )


@lru_cache(maxsize=8)
def _versions_in(path: str, _modified: tuple[int, ...]) -> Versions:
    return _versions(_readable(schema_files(Path(path)), read_schema))


def versions_at(revision: str, path: Path, base: Path) -> Versions:
    """Return the versions that a folder of schemas held in a revision of the git repository of ``base``.

    Raises `ConfigurationError` where git doesn't know the revision, or there is no repository.
    """
    inside = Path(os.path.relpath(path, base)).as_posix()
    if revision.startswith("-"):
        raise ConfigurationError(f"{revision!r} is no revision", hint=_NAME_ONE)
    try:
        command = ["git", "archive", "--format=tar", revision, "--", inside]
        done = subprocess.run(command, cwd=base, capture_output=True, check=False)
    except OSError as error:
        raise ConfigurationError(f"--against needs git: {error.strerror}", hint="install git") from None
    if done.returncode:
        lines = done.stderr.decode(errors="replace").strip().splitlines() or ["no reason given"]
        raise ConfigurationError(f"git has no {inside} of {revision}: {lines[-1]}", hint=_NAME_ONE)
    if len(done.stdout) > _MOST_BYTES:
        raise ConfigurationError(f"{path} of {revision} is larger than {_MOST_BYTES} bytes")
    with tarfile.open(fileobj=io.BytesIO(done.stdout)) as archive:
        members = (each for each in archive if each.isfile() and each.name.endswith(".avsc"))
        contents = [file.read() for each in members if (file := archive.extractfile(each))]
    return _versions(_readable(contents, json.loads))


def with_versions(manifests: Iterable[Manifest], versions: Versions) -> list[Manifest]:
    """Return the manifests with those versions of their events added that they don't have yet."""
    return [
        replace(
            each, schemas={name: _with(entry, versions.get(name, {})) for name, entry in each.schemas.items()}
        )
        for each in manifests
    ]


def _with(entry: SchemaEntry, versions: dict[str, Any]) -> SchemaEntry:
    known = [entry.schema, *entry.earlier]
    others = (schema for mark, schema in sorted(versions.items()) if mark != entry.fingerprint)
    return replace(entry, earlier=(*entry.earlier, *(schema for schema in others if schema not in known)))


def _readable(items: Iterable[Any], read: Any) -> Iterator[Any]:
    for item in items:
        try:
            yield read(item)
        except (SchemaError, ValueError, RecursionError):
            continue


def _versions(schemas: Iterable[Any]) -> Versions:
    found: Versions = {}
    for schema in schemas:
        try:
            definition = parse_schema(schema)
        except SchemaError:
            continue
        found.setdefault(definition.name, {})[definition.fingerprint] = schema
    return found
