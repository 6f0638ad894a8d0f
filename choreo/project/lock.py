"""Finds, reads, writes and applies ``choreography.json``, the lock of a choreography.

The lock holds the events that call each compensation that names none. Without a lock they are derived from
the project's modules.
"""

from __future__ import annotations

import logging
import os
from pathlib import Path

from choreo.errors import ManifestError
from choreo.graph import Lock, SagaGraph, derive_from, lock_of, read_lock, write_lock
from choreo.participant import Participant
from choreo.project.choreography import choreography_known
from choreo.project.documents import read_document, write_document
from choreo.project.pyproject import nearest_project

NAME = "choreography.json"

_log = logging.getLogger("choreo.project")


def lock_file() -> Path:
    """Return the path of the lock: ``lock`` in ``[tool.choreo]``, or beside ``pyproject.toml``."""
    project = nearest_project()
    named = project.get("lock")
    if named:
        return Path(named)
    return Path(os.path.relpath(project.file.parent / NAME)) if project.file else Path(NAME)


def load_lock(path: Path) -> Lock | None:
    """Return the lock, None where there is none. Raises `ManifestError` where it can't be read."""
    try:
        content = read_document(path)
    except FileNotFoundError:
        return None
    return read_lock(content, str(path))


def save_lock(path: Path, lock: Lock) -> None:
    """Write the lock. Raises `ManifestError` where it can't be written."""
    write_document(path, write_lock(lock))


def derive_by(path: Path, participant: Participant) -> None:
    """Set the events that call the compensations of a participant that name none, from the lock.

    Raises `ManifestError` when the lock can't be read, is none, or is of another choreography.
    """
    try:
        content = read_document(path)
    except FileNotFoundError as error:
        hint = "choreo verify --lock writes it"
        raise ManifestError(f"{path}: can't be read: {error.strerror}", hint=hint) from None
    derive_from(read_lock(content, str(path)), participant)


def derived(participant: Participant, lock: Path | None = None) -> Participant:
    """Set the events that call the compensations of a participant that name none; return the participant.

    They are read from ``lock``, or else from the project's lock. Without a lock they follow from the modules
    of ``[tool.choreo]``, if all of these can be imported and hold every step of the participant's sagas.

    Raises `DeclarationError` where neither says what calls one, before anything is made or started;
    `ManifestError` when the lock can't be read, is none, or is of another choreography.
    """
    if lock is not None:
        derive_by(lock, participant)
    elif participant.is_derived:
        path = lock_file()
        if path.is_file():
            derive_by(path, participant)
        elif _derive_by_modules(participant):
            _log.info("%s: rollback derived from the modules of [tool.choreo]: no %s", participant.name, path)
    participant.roles()
    return participant


def _derive_by_modules(participant: Participant) -> bool:
    choreography = choreography_known(())
    if choreography is None:
        return False
    lock = lock_of(choreography)
    graphs = [graph for graph in choreography.sagas if participant.name in graph.participants]
    if participant.name not in lock.participants or any(_missing(graph) for graph in graphs):
        return False
    derive_from(lock, participant)
    return True


def _missing(graph: SagaGraph) -> set[str]:
    """Return the events that a step waits for, or that end the saga, and that no participant emits."""
    contract = graph.contract
    return {*graph.triggered, contract.completes, contract.fails} - {*graph.outcome, contract.starts}
