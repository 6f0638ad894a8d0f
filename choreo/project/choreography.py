"""Builds the choreography that a command names by modules, manifests and folders, or the project's own."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Sequence
from contextlib import redirect_stdout
from dataclasses import replace
from pathlib import Path

from choreo.errors import ChoreoError, ConfigurationError, ManifestError
from choreo.graph import Choreography, choreography_of
from choreo.manifest import Manifest, digest_of, manifest_of, read_manifest
from choreo.participant import Participant
from choreo.project.documents import read_document
from choreo.project.modules import load_modules, load_participant, participants_of
from choreo.project.packages import holds_python
from choreo.project.pyproject import nearest_project
from choreo.project.repositories import told_apart
from choreo.project.versions import is_same_version

SUFFIX = ".choreo.json"
"""How the file name of a manifest ends."""


Describe = Callable[[Participant], Manifest]
"""Returns the manifest of a declared participant, as `choreo.project.manifests.manifest_from` does."""


def choreography_named(names: Sequence[str], describe: Describe) -> Choreography:
    """Return the choreography of the named modules, manifests and folders, or else that of the project.

    The project's is that of ``modules`` in ``[tool.choreo]``. Code is imported only for names that aren't
    files. Raises `ConfigurationError` if nothing is named, `ManifestError` if a participant is named twice,
    and the errors of importing and reading.
    """
    wanted = names or tuple(nearest_project().get("modules") or ())
    if not wanted:
        raise ConfigurationError(
            "nothing to verify is named",
            hint="give modules, manifests or folders of them, or modules = [...] in [tool.choreo]",
        )
    return choreography_of(told_apart(_found(wanted, lambda name: _manifests(name, describe))))


def manifests_declared(targets: Iterable[str], describe: Describe) -> list[Manifest]:
    """Return the manifests of the participants that modules declare. Raises as `choreography_named` does."""
    return _found(targets, lambda target: map(describe, declared(target)))


def choreography_known(names: Sequence[str]) -> Choreography | None:
    """Return the choreography without its schemas, or None where it isn't known.

    Without names it is that of ``modules`` in ``[tool.choreo]``, or None where one of these can't be imported
    or read, or none declares a participant. With names it raises as
    `choreography_named` does.
    """

    def outlines(name: str) -> Iterable[Manifest]:
        return _manifests(name, lambda participant: manifest_of(participant, {}))

    if names:
        return choreography_of(_found(names, outlines))
    try:
        return choreography_of(_found(tuple(nearest_project().get("modules") or ()), outlines))
    except ChoreoError:
        return None


def targets_of(names: Sequence[str]) -> dict[str, str]:
    """Return the participants of the modules that are named, or else of the project's, by their names.

    Each is written as ``MODULE:PARTICIPANT``. What is not a module, or can't be imported, has none.
    """
    found: dict[str, str] = {}
    for name in names or tuple(nearest_project().get("modules") or ()):
        try:
            if ":" in name:
                found.setdefault(load_participant(name).name, name)
            elif not is_file(name):
                for module in load_modules(name):
                    for attribute, each in participants_of(module):
                        found.setdefault(each.name, f"{module.__name__}:{attribute}")
        except ChoreoError:
            continue
    return found


def _found(names: Iterable[str], manifests: Callable[[str], Iterable[Manifest]]) -> list[Manifest]:
    with redirect_stdout(sys.stderr):  # what a module prints at its import is not the command's output
        found = _each_once(manifest for name in dict.fromkeys(names) for manifest in manifests(name))
    if not found:
        raise ConfigurationError(
            f"no participant is declared in {', '.join(names)}", hint="name the modules of the participants"
        )
    return found


def declared(name: str) -> list[Participant]:
    """Return the participants of ``MODULE:PARTICIPANT``, of a module, or of a package and its modules."""
    if ":" in name:
        return [load_participant(name)]
    found = (each for module in load_modules(name) for _, each in participants_of(module))
    return list(dict.fromkeys(found))


def _manifests(name: str, describe: Describe) -> Iterable[Manifest]:
    path = Path(name)
    if path.suffix == ".json":
        return [_read(path)]
    if is_file(name):
        return _folder(path)
    modules = map(describe, declared(name))
    return [*map(_read, _files(path)), *modules] if path.is_dir() else modules


def is_file(name: str) -> bool:
    """Whether a name is that of a manifest or of a folder of manifests, not of a module or a package."""
    path = Path(name)
    if not path.is_dir():
        return path.suffix == ".json"
    return not name.isidentifier() or not _is_package(path)


def manifests_in(path: Path) -> list[Manifest]:
    """Return the manifests that a folder holds, or a manifest; none for a path that is neither.

    Raises `ManifestError` where one of them can't be read.
    """
    if path.suffix == ".json" and path.is_file():
        return [_read(path)]
    return [_read(file) for file in _files(path)] if path.is_dir() else []


def _is_package(path: Path) -> bool:
    """Whether a folder holds modules to import: it says so, or it has some and no manifest."""
    return (path / "__init__.py").exists() or (holds_python(path) and not _files(path))


def _files(path: Path) -> list[Path]:
    """Return the manifests in a folder and in the folders within it."""
    found = path.rglob(f"*{SUFFIX}")
    return sorted(each for each in found if not any(map(_is_made, each.relative_to(path).parts[:-1])))


def _is_made(folder: str) -> bool:
    """Whether a folder is hidden, or a tool's."""
    return folder.startswith(".") or folder in ("node_modules", "site-packages")


def _folder(path: Path) -> list[Manifest]:
    files = _files(path)
    if not files:
        raise ManifestError(
            f"{path} holds no manifest (*{SUFFIX})", hint="write one: choreo manifest MODULE:PARTICIPANT"
        )
    return [_read(file) for file in files]


def _read(path: Path) -> Manifest:
    try:
        return read_manifest(read_document(path), str(path))
    except FileNotFoundError:
        raise ManifestError(
            f"{path}: no such file", hint="write it: choreo manifest MODULE:PARTICIPANT"
        ) from None


def _each_once(manifests: Iterable[Manifest]) -> list[Manifest]:
    """Return one manifest of each participant, as a module may import what another declares.

    Where one is given as a module and as a manifest, the module counts; the manifest is marked as outdated
    if it differs.
    """
    found: dict[str, Manifest] = {}
    for manifest in manifests:
        other = found.setdefault(manifest.participant, manifest)
        if other != manifest:
            found[manifest.participant] = _as_declared(other, manifest)
    return list(found.values())


def _as_declared(one: Manifest, other: Manifest) -> Manifest:
    files = [each for each in (one, other) if each.origin.endswith(".json")]
    if len(files) != 1:
        raise ManifestError(
            f"{one.participant} is given twice: {one.origin} and {other.origin}",
            hint="name each participant once, as a module or as a manifest",
        )
    file, declared = files[0], other if files[0] is one else one
    is_same = digest_of(file) == digest_of(declared) and _has_same_schemas(file, declared)
    return declared if is_same else replace(declared, outdated=file.origin)


def _has_same_schemas(one: Manifest, other: Manifest) -> bool:
    ours, theirs = one.schemas, other.schemas
    return ours.keys() == theirs.keys() and all(
        ours[name].fingerprint == theirs[name].fingerprint
        and is_same_version(ours[name].schema, theirs[name].schema)
        for name in ours
    )
