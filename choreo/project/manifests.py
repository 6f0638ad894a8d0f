"""Makes the manifest of a declared participant, with the schemas of its events and remarks on its source."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from choreo.avro import parse_schema, resolve, schema_of
from choreo.events import event_name
from choreo.manifest import Manifest, SchemaEntry, manifest_of
from choreo.participant import Participant
from choreo.project.names import modules_of, origins_of
from choreo.project.pyproject import nearest_project, project_folder, schemas_folder
from choreo.project.sources import examine_participant, relative_name
from choreo.project.versions import versions_in, with_versions
from choreo.verify import Unreadable


def manifest_from(
    participant: Participant, base: Path | None = None, schemas: Path | None = None
) -> Manifest:
    """Return the manifest of a declared participant, its files named as seen from ``base``.

    ``base`` is the project's folder, ``schemas`` the folder of schema files, for earlier versions of its
    events; by default both are those of the nearest project. Raises `SchemaError` when an event has no Avro
    schema, and `ConfigurationError` where a source can't be read.
    """
    base, schemas = base or project_folder(), schemas or schemas_folder()
    entries = {event_name(cls): _schema_entry(cls) for cls in participant.events}
    examined = examine_participant(participant, base)
    manifest = manifest_of(
        participant,
        entries,
        locate=lambda file: relative_name(file, base),
        suppressions=examined.suppressions,
        remarks=examined.remarks,
    )
    named = replace(
        manifest,
        modules=modules_of(participant, lambda file: relative_name(file, base)),
        origins=origins_of(participant),
        project=nearest_project().name,
        heads=examined.heads,
    )
    return with_versions([named], versions_in(schemas))[0]


@lru_cache(maxsize=4096)
def _schema_entry(cls: type) -> SchemaEntry:
    schema = schema_of(cls)
    return SchemaEntry(schema, parse_schema(schema).fingerprint)


def compare(written: Any, read: Any) -> Sequence[Unreadable]:
    """Return the places at which a reader's schema can't read a writer's records, or not all of them."""
    if written == read:
        return []
    found = resolve(parse_schema(written), parse_schema(read))
    return [Unreadable(*problem) for problem in (*found.problems, *found.inexact)]
