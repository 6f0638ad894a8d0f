"""The file that a rebuild works on: beside the one that it is to become, whole or not there at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from choreo.errors import ConfigurationError
from choreo.replay.snapshot import copy_database
from choreo.store.sqlite.store import SQLiteStore


@contextmanager
def workpiece(
    path: Path, backup: Path | None, *, anew: bool = False, dry_run: bool = False
) -> Iterator[SQLiteStore]:
    """Open the database that is to become ``path``, begun as a copy of ``backup`` or empty.

    Where the block ends well, it is moved there; else it stays beside it, and the next one goes on with it,
    unless it is to begin ``anew``.
    Raises `ConfigurationError` where there is a file already, or the backup can't be read.
    """
    if path.exists():
        raise ConfigurationError(
            f"there is a file {path} already", hint="rebuild into a new one; an old file goes with --backup"
        )
    if dry_run:
        with (
            TemporaryDirectory(prefix="choreo-") as folder,
            _open(Path(folder) / "store.db", backup) as store,
        ):
            yield store
        return
    unfinished = path.with_name(f"{path.name}.rebuilding")
    with _open(unfinished, backup) as store:
        yield store
    os.replace(unfinished, path)


@contextmanager
def _open(path: Path, backup: Path | None) -> Iterator[SQLiteStore]:
    if backup is not None and not path.exists():
        copied = path.with_name(f"{path.name}.copy")
        copied.unlink(missing_ok=True)
        copy_database(backup, copied)
        os.replace(copied, path)
    with closing(SQLiteStore(path)) as store:
        yield store
