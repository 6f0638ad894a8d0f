"""``choreography.json``: where it lies, read and written."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from choreo.errors import ManifestError
from choreo.graph import derive_from, lock_of, read_lock
from choreo.participant import Participant
from choreo.project.choreography import choreography_known
from choreo.project.documents import document_read, document_written
from choreo.project.pyproject import nearest_project

if TYPE_CHECKING:
    from choreo.graph import Lock

NAME = "choreography.json"


def lock_file() -> Path:
    """Give the path of the lock: ``lock`` in ``[tool.choreo]``, else beside ``pyproject.toml``, else here."""
    project = nearest_project()
    named = project.get("lock")
    if named:
        return Path(named)
    return Path(os.path.relpath(project.file.parent / NAME)) if project.file else Path(NAME)


def lock_read(path: Path) -> Lock | None:
    """Read the lock, if there is one. Raises `ManifestError` where it can't be read."""
    from choreo.graph import read_lock

    try:
        content = document_read(path)
    except FileNotFoundError:
        return None
    return read_lock(content, str(path))


def lock_written(path: Path, lock: Lock) -> None:
    """Write the lock. Raises `ManifestError` where it can't be."""
    from choreo.graph import write_lock

    document_written(path, write_lock(lock))


def derived(participant: Participant) -> Participant:
    """Derive what calls the compensations of a participant that name no event, and return the participant.

    It is read from the lock, or, where there is none, from the modules of the project that can be imported.

    Raises `DeclarationError` where neither says what calls one, before anything is made or started.
    """
    path = lock_file()
    if participant.is_derived and path.is_file():
        derive_by(path, participant)
    elif participant.is_derived and (choreography := choreography_known(())):
        derive_from(lock_of(choreography), participant)
    participant.roles()
    return participant


def derive_by(path: Path, participant: Participant) -> None:
    """Tell a participant what calls its compensations that name no event.

    Raises `ManifestError` when the lock can't be read, is none, or is of another choreography.
    """
    try:
        content = document_read(path)
    except FileNotFoundError as error:
        hint = "choreo verify --lock writes it"
        raise ManifestError(f"{path}: can't be read: {error.strerror}", hint=hint) from None
    derive_from(read_lock(content, str(path)), participant)
