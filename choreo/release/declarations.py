"""The declarations of a release, as a manifest that says by itself what calls each handler."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from choreo.errors import ManifestError
from choreo.events import event_name
from choreo.manifest import (
    MAX_BYTES,
    HandlerEntry,
    Manifest,
    SchemaEntry,
    manifest_of,
    read_manifest,
    write_manifest,
)
from choreo.participant import Participant
from choreo.protocol import Role, Trigger
from choreo.records import Partition, Release
from choreo.saga import Versions


def declared(participant: Participant, schemas: Mapping[str, SchemaEntry]) -> Manifest:
    """Return a participant's declarations as a release keeps them, without places in its source.

    A compensation that names no event has the triggers that follow from the choreography, an entry for each.
    Raises `DeclarationError` as `Participant.roles` does.
    """
    names = {event_name(cls) for cls in participant.events}
    manifest = manifest_of(participant, {name: schemas[name] for name in names & schemas.keys()})
    roles = participant.roles_by_version()
    handlers = (
        resolved for entry in manifest.handlers for resolved in _resolved(entry, roles.each(entry.saga))
    )
    return replace(
        manifest, handlers=tuple(replace(each, place="") for each in handlers), choreo="", origin=""
    )


def _resolved(entry: HandlerEntry, roles: Sequence[tuple[Versions, Role]]) -> Iterable[HandlerEntry]:
    """Return an entry for each trigger of a handler: only a compensation that names no event has several."""
    if not entry.derived:
        return (entry,)
    answer = next(iter(entry.emits.successes))
    called: list[tuple[Trigger, frozenset[str], Versions]] = []
    for versions, role in roles:
        both = versions.both(entry.versions)
        if both is None:
            continue
        for each in role.action[entry.step].compensations:
            if each.answer == answer and (not entry.results or each.results <= entry.results):
                _add(called, each.trigger, each.results, both)
    return [replace(entry, trigger=each[0], results=each[1], versions=each[2]) for each in called]


def _add(
    called: list[tuple[Trigger, frozenset[str], Versions]],
    trigger: Trigger,
    results: frozenset[str],
    versions: Versions,
) -> None:
    """Add what calls a compensation in some versions, to the versions before where it is the same."""
    for number, (known, undone, earlier) in enumerate(called):
        if (known, undone, earlier.until) == (trigger, results, versions.since - 1):
            called[number] = (trigger, results, Versions(earlier.since, versions.until))
            return
    called.append((trigger, results, versions))


def release_of(
    manifest: Manifest, since: int, positions: Mapping[Partition, int], retired: Iterable[str] = ()
) -> Release:
    """Return the row of the store for declarations, with which they come back from `declared_in`.

    Of a manifest that is too large to be read again, the schemas are left out.
    """
    text = write_manifest(manifest, compact=True)
    if len(text) > MAX_BYTES:
        bare = {name: replace(entry, schema=None) for name, entry in manifest.schemas.items()}
        text = write_manifest(replace(manifest, schemas=bare), compact=True)
    return Release(json.loads(text)["hash"], text, since, positions, retired=tuple(sorted(set(retired))))


def declared_in(release: Release) -> Manifest:
    """Return the declarations of a stored release. Raises `ManifestError` where it was changed by hand."""
    return read_manifest(release.manifest, f"release {release.id}")


def readable(release: Release) -> Manifest | None:
    """Return the declarations of a stored release, None where its row was changed by hand."""
    try:
        return declared_in(release)
    except ManifestError:
        return None
