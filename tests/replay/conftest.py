"""A rig for each test, as the worker's tests have it; and copies of databases."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from tests.worker.conftest import make, rig

__all__ = ["make", "rig", "saved"]


def saved(path: Path) -> Path:
    """Make a snapshot of a database, as SQLite's own backup does while it is in use."""
    copy = path.with_suffix(".base")
    with closing(sqlite3.connect(path)) as source, closing(sqlite3.connect(copy)) as target:
        source.backup(target)
        target.execute("pragma journal_mode = delete")
    return copy
