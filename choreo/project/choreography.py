"""The choreography that a command is about: modules, participants, manifests, folders, or the project's."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Sequence
from contextlib import redirect_stdout
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from choreo.errors import ChoreoError, ConfigurationError, ManifestError
from choreo.events import event_name
from choreo.manifest import Manifest, SchemaEntry, manifest_of
from choreo.participant import Participant
from choreo.project.documents import document_read
from choreo.project.modules import load_modules, load_participant, participants_of
from choreo.project.pyproject import nearest_project, project_folder, schemas_folder
from choreo.project.sources import named, seen_of
from choreo.project.versions import kept, remembered

if TYPE_CHECKING:
    from choreo.graph import Choreography
    from choreo.manifest import Manifest
    from choreo.verify import Unreadable

SUFFIX = ".choreo.json"
"""How a manifest's file name ends: that is how a folder's are found."""


def choreography_named(names: Sequence[str]) -> Choreography:
    """Give the choreography of what is named, or of ``modules`` in ``[tool.choreo]``.

    Code is imported only for names that are no files. Raises `ConfigurationError` where nothing is named,
    `ManifestError` where a participant is named twice, and as importing and reading do.
    """
    from choreo.graph import choreography_of

    wanted = names or tuple(nearest_project().get("modules") or ())
    if not wanted:
        raise ConfigurationError(
            "nothing to verify is named",
            hint="give modules, manifests or folders of them, or modules = [...] in [tool.choreo]",
        )
    return choreography_of(_found(wanted, _manifests))


def manifests_declared(targets: Iterable[str]) -> list[Manifest]:
    """Give the manifests of the participants that modules declare. Raises as `choreography_named` does."""
    return _found(targets, lambda target: map(manifest_from, declared(target)))


def choreography_known(names: Sequence[str]) -> Choreography | None:
    """Give the choreography, its schemas left out, for commands that only tell more where they have it.

    What is named is had, or it raises as `choreography_named` does. What the project names is had if it can
    be; None where it can't, or where it declares no participant.
    """
    from choreo.graph import choreography_of
    from choreo.manifest import manifest_of

    def outlines(name: str) -> Iterable[Manifest]:
        return _manifests(name, lambda participant: manifest_of(participant, {}))

    if names:
        return choreography_of(_found(names, outlines))
    try:
        return choreography_of(_found(tuple(nearest_project().get("modules") or ()), outlines))
    except ChoreoError:
        return None


def _found(names: Iterable[str], give: Callable[[str], Iterable[Manifest]]) -> list[Manifest]:
    with redirect_stdout(sys.stderr):  # what a module prints when it is imported is none of our output
        found = _each_once(manifest for name in dict.fromkeys(names) for manifest in give(name))
    if not found:
        raise ConfigurationError(
            f"no participant is declared in {', '.join(names)}", hint="name the modules of the participants"
        )
    return found


def declared(name: str) -> list[Participant]:
    """Give the participants of ``MODULE:PARTICIPANT``, of a module, or of a package and its modules."""
    if ":" in name:
        return [load_participant(name)]
    found = (each for module in load_modules(name) for _, each in participants_of(module))
    return list(dict.fromkeys(found))


def manifest_from(
    participant: Participant, base: Path | None = None, schemas: Path | None = None
) -> Manifest:
    """Return the manifest of a declared participant, its files named as seen from ``base``.

    ``base`` is the project's folder, ``schemas`` the folder of schema files, for earlier versions of its
    events; by default both are those of the nearest project. Raises `SchemaError` when an event has no Avro
    schema, and `ConfigurationError` where a source can't be read.
    """
    from choreo.avro import parse_schema, schema_of

    base, schemas = base or project_folder(), schemas or schemas_folder()
    entries = {}
    for cls in participant.events:
        schema = schema_of(cls)
        entries[event_name(cls)] = SchemaEntry(schema, parse_schema(schema).fingerprint)
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
    from choreo.avro import parse_schema, unreadable
    from choreo.verify import Unreadable

    return [Unreadable(*problem) for problem in unreadable(parse_schema(written), parse_schema(read))]


def _manifests(name: str, describe: Callable[[Participant], Manifest] = manifest_from) -> Iterable[Manifest]:
    path = Path(name)
    if path.is_dir() and not _is_package(path, name):
        return _folder(path)
    if path.suffix == ".json":
        return [_read(path)]
    return [describe(participant) for participant in declared(name)]


def _is_package(path: Path, name: str) -> bool:
    """Say whether a folder's name means its modules: it can be imported, and holds no manifest."""
    return name.isidentifier() and any(path.glob("*.py")) and not any(path.glob(f"*{SUFFIX}"))


def _folder(path: Path) -> list[Manifest]:
    files = sorted(path.glob(f"*{SUFFIX}"))
    if not files:
        raise ManifestError(
            f"{path} holds no manifest (*{SUFFIX})", hint="write one: choreo manifest MODULE:PARTICIPANT"
        )
    return [_read(file) for file in files]


def _read(path: Path) -> Manifest:
    from choreo.manifest import read_manifest

    try:
        return read_manifest(document_read(path), str(path))
    except FileNotFoundError:
        raise ManifestError(
            f"{path}: no such file", hint="write it: choreo manifest MODULE:PARTICIPANT"
        ) from None


def _each_once(manifests: Iterable[Manifest]) -> list[Manifest]:
    """Give each participant once; a module may hold what another module declares.

    Where one is given as a module and as a manifest, the module counts, and the manifest must say the same.
    """
    found: dict[str, Manifest] = {}
    for manifest in manifests:
        other = found.setdefault(manifest.participant, manifest)
        if other != manifest:
            found[manifest.participant] = _as_declared(other, manifest)
    return list(found.values())


def _as_declared(one: Manifest, other: Manifest) -> Manifest:
    from choreo.manifest import digest_of

    files = [each for each in (one, other) if each.origin.endswith(".json")]
    if len(files) != 1:
        raise ManifestError(
            f"{one.participant} is given twice: {one.origin} and {other.origin}",
            hint="name each participant once, as a module or as a manifest",
        )
    file, declared = files[0], other if files[0] is one else one
    is_same = digest_of(file) == digest_of(declared) and _marks(file) == _marks(declared)
    return declared if is_same else replace(declared, outdated=file.origin)


def _marks(manifest: Manifest) -> dict[str, str]:
    return {name: entry.fingerprint for name, entry in manifest.schemas.items()}
