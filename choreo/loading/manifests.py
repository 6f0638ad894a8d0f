"""The manifest of a participant that has been imported, and how two schemas are compared."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from choreo.event import event_name
from choreo.loading.sources import named, seen_of
from choreo.loading.versions import kept, remembered
from choreo.manifest import Manifest, SchemaEntry, manifest_of
from choreo.participant import Participant

if TYPE_CHECKING:
    from choreo.verify import Unreadable


def manifest_from(participant: Participant, base: Path, schemas: Path) -> Manifest:
    """Give the manifest of a declared participant, its files named as seen from ``base``, the project's
    folder.

    ``schemas`` is the folder of schema files, for earlier versions of its events. Raises `SchemaError` when
    an event has no Avro schema, and `ConfigurationError` where a source can't be read.
    """
    from choreo.avro import define, schema_of

    entries = {}
    for cls in participant.events:
        schema = schema_of(cls)
        entries[event_name(cls)] = SchemaEntry(schema, define(schema).fingerprint)
    seen = seen_of(participant, base)
    manifest = manifest_of(
        participant,
        entries,
        locate=lambda file: named(file, base),
        suppressions=seen.suppressions,
        remarks=seen.remarks,
    )
    return remembered([manifest], kept(schemas))[0]


def compare(written: Any, read: Any) -> Sequence[Unreadable]:
    """Say what of a writer's records a reader's schema can't read."""
    if written == read:
        return []
    from choreo.avro import define, unreadable
    from choreo.verify import Unreadable

    return [Unreadable(*problem) for problem in unreadable(define(written), define(read))]
