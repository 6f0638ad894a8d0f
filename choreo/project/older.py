"""Finds what is deployed now: the manifests and schemas of a folder, or of a revision of the repository.

A revision may have committed manifests; else its files are taken into a temporary folder, and another process
makes the manifests of its modules there.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from collections.abc import Iterable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from choreo.errors import ChoreoError, ConfigurationError
from choreo.graph import Choreography, choreography_of
from choreo.manifest import Manifest, read_manifest
from choreo.project.choreography import SUFFIX, is_file, manifests_in
from choreo.project.pyproject import nearest_project, project_folder, schemas_folder
from choreo.project.revision import contents_at, extract
from choreo.project.versions import Versions, versions_at, versions_of

_SECONDS = 300
"""The longest time that the modules of a revision may take to be imported."""

_COMMAND = "from choreo.cli import main; main()"


class Older(NamedTuple):
    """What is deployed now: the versions of its events, and its choreography, None where that can't be read.

    ``reason`` says why it can't be.
    """

    versions: Versions
    choreography: Choreography | None
    reason: str = ""
    hint: str = ""


def older(named: str, names: Sequence[str], newer: Choreography) -> Older:
    """Return what is deployed now, by a folder of manifests, a manifest or a git revision.

    ``names`` are the modules and manifests of the ``newer`` choreography, empty for those of the project.
    Raises `ConfigurationError` where git doesn't know the revision, or where it has nothing to compare with.
    """
    found = manifests_in(Path(named))
    if found:
        return Older(_versions(found), choreography_of(found))
    missing, versions = None, Versions()
    try:
        versions = versions_at(named, schemas_folder())
    except ConfigurationError as error:
        missing = error
    try:
        manifests = _manifests_at(named, names, newer)
    except ChoreoError as error:
        if missing:
            raise ConfigurationError(f"{missing.message}; {error.message}", hint=error.hint) from None
        return Older(versions, None, error.message, error.hint)
    return Older(_merged(versions, _versions(manifests)), choreography_of(manifests))


def _manifests_at(revision: str, names: Sequence[str], newer: Choreography) -> list[Manifest]:
    """Return the manifests of a revision: those that it has, or those of its modules."""
    files = [name for name in names if is_file(name)]
    found = _each_once(each for name in files for each in _committed(revision, Path(name)))
    modules = [name for name in names if not is_file(name)]
    if files and not modules:
        return found
    wanted = {each.participant for each in newer.manifests} - {each.participant for each in found}
    committed = {each.participant: each for each in _committed_anywhere(revision)}
    if wanted <= committed.keys():
        return _each_once([*found, *committed.values()])
    return _each_once([*found, *_made_at(revision, modules)])


def _each_once(manifests: Iterable[Manifest]) -> list[Manifest]:
    return list({each.participant: each for each in manifests}.values())


def _committed(revision: str, path: Path) -> list[Manifest]:
    where = f"{revision}:{path}"
    return [read_manifest(content, where) for content in contents_at(revision, path, SUFFIX)]


def _committed_anywhere(revision: str) -> list[Manifest]:
    """Return the manifests that the project's folder held, none where two are of one participant."""
    try:
        found = _committed(revision, project_folder())
    except ChoreoError:
        return []
    return found if len({each.participant for each in found}) == len(found) else []


def _made_at(revision: str, modules: Sequence[str]) -> list[Manifest]:
    """Return the manifests of the modules of a revision, which another process imports."""
    with TemporaryDirectory(prefix="choreo-") as made:
        tree, output = Path(made) / "tree", Path(made) / "manifests"
        top = extract(revision, Path.cwd(), tree)
        here = tree / Path.cwd().relative_to(top)
        wanted = modules or _modules_of(here) or tuple(nearest_project().get("modules") or ())
        _write_manifests(revision, here, _path_in(top, tree), [*wanted, "--output", str(output)])
        return [
            read_manifest(file.read_bytes(), f"{revision}:{file.name}")
            for file in sorted(output.glob(f"*{SUFFIX}"))
        ]


def _path_in(top: Path, tree: Path) -> list[str]:
    """Return where modules are looked for: the folders of the repository as they were, then all others."""
    there = []
    for each in sys.path:
        path = Path(each or os.curdir).absolute()
        if path.is_relative_to(top) and (tree / path.relative_to(top)).is_dir():
            there.append(str(tree / path.relative_to(top)))
    given = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    return [*there, *(str(Path(each).absolute()) for each in given if each)]


def _modules_of(folder: Path) -> tuple[str, ...]:
    """Return the modules that the settings of a folder of a revision name, none where they can't be read."""
    for above in (folder, *folder.parents):
        file = above / "pyproject.toml"
        if file.is_file():
            try:
                found = tomllib.loads(file.read_text("utf-8"))["tool"]["choreo"]["modules"]
            except (KeyError, TypeError, ValueError, OSError):
                return ()
            return tuple(map(str, found)) if isinstance(found, list) else ()
    return ()


def _write_manifests(revision: str, folder: Path, path: Sequence[str], arguments: Sequence[str]) -> None:
    command = [sys.executable, "-c", _COMMAND, "manifest", *arguments]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path), "NO_COLOR": "1"}
    hint = f"commit manifests beside the code (choreo manifest MODULE), or name a folder of {revision}'s"
    try:
        done = subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, check=False, timeout=_SECONDS
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ConfigurationError(f"the modules of {revision} can't be read: {error}", hint=hint) from None
    if done.returncode:
        lines = done.stderr.decode(errors="replace").strip().splitlines() or ["no reason given"]
        reason = lines[-1].removeprefix("error: ").partition(" (hint: ")[0]
        raise ConfigurationError(f"the modules of {revision} can't be read: {reason}", hint=hint)


def _versions(manifests: Iterable[Manifest]) -> Versions:
    entries = [entry for each in manifests for entry in each.schemas.values()]
    return versions_of(schema for entry in entries for schema in (entry.schema, *entry.earlier))


def _merged(one: Versions, other: Versions) -> Versions:
    return {name: {**other.get(name, {}), **one.get(name, {})} for name in {**one, **other}}
