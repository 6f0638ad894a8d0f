"""``choreography.json``, as a participant that runs alone needs it."""

from __future__ import annotations

from pathlib import Path

from choreo.choreography import derive_from, read_lock
from choreo.errors import ManifestError
from choreo.manifest import MAX_BYTES
from choreo.participant import Participant


def derive_by(path: Path, participant: Participant) -> None:
    """Tell a participant what calls its compensations that name no event.

    Raises `ManifestError` when the lock can't be read, is none, or is of another choreography.
    """
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        hint = "choreo verify --lock writes it"
        raise ManifestError(f"{path}: can't be read: {error.strerror}", hint=hint) from None
    derive_from(read_lock(content, str(path)), participant)
