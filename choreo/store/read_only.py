"""A store's file opened to be read: beside its worker, or where nobody uses it, leaving nothing behind."""

from __future__ import annotations

import sqlite3
from pathlib import Path

_PATIENCE = 5.0
"""Seconds to wait where a checkpoint has the file for a moment."""


def connect_read_only(path: str | Path, *, at_rest: bool = False) -> sqlite3.Connection:
    """Open a database read-only; ``at_rest``, as `is_at_rest` says, makes no files beside it."""
    uri = f"{Path(path).resolve().as_uri()}?mode=ro{'&immutable=1' if at_rest else ''}"
    return sqlite3.connect(uri, uri=True, timeout=_PATIENCE, isolation_level=None)


def is_at_rest(path: str | Path) -> bool:
    """Say whether nobody has the database open: whoever does has a write-ahead log beside it."""
    return not Path(f"{path}-wal").exists()


def changed_at(path: str | Path) -> int:
    """Say when the file was written last; it changes with every checkpoint, in nanoseconds."""
    return Path(path).stat().st_mtime_ns
