"""``choreography.json``: where it lies, read and written."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from choreo.cli.documents import document_read, document_written
from choreo.cli.project import nearest_project
from choreo.participant import Participant

if TYPE_CHECKING:
    from choreo.choreography import Lock

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
    from choreo.choreography import read_lock

    try:
        content = document_read(path)
    except FileNotFoundError:
        return None
    return read_lock(content, str(path))


def lock_written(path: Path, lock: Lock) -> None:
    """Write the lock. Raises `ManifestError` where it can't be."""
    from choreo.choreography import write_lock

    document_written(path, write_lock(lock))


def derived(participant: Participant) -> Participant:
    """Tell a participant whose compensations name no event what calls them, where there is a lock.

    Raises `DeclarationError` where nothing does, before anything is made or started.
    """
    path = lock_file()
    if participant.is_derived and path.is_file():
        from choreo.worker.lock import derive_by

        derive_by(path, participant)
    participant.roles()
    return participant
