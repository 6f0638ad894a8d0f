"""Reads and writes manifests, locks and run files: up to a limit, and completely or not at all."""

from __future__ import annotations

from pathlib import Path

from choreo.drafts import SHARED, whole_file
from choreo.errors import ManifestError
from choreo.manifest import MAX_BYTES


def read_document(path: Path) -> bytes:
    """Return the content of a document, at most one byte beyond the limit.

    Raises `FileNotFoundError` where there is none, and `ManifestError` where it can't be read.
    """
    try:
        with path.open("rb") as file:
            return file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise ManifestError(f"{path}: can't be read: {error.strerror}") from None


def write_document(path: Path, text: str) -> None:
    """Write a document. Raises `ManifestError` where it can't be."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(path, SHARED) as file:
            file.write(text.encode())
    except OSError as error:
        raise ManifestError(f"{path}: can't be written: {error.strerror}") from None
