"""The databases that replay works on: temporary copies of a store, and drafts of a store to be rebuilt."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from choreo.drafts import draft_folder, make_private
from choreo.errors import ConfigurationError
from choreo.ports import Store
from choreo.records import Entry
from choreo.store.sqlite.store import SQLiteStore


class Snapshot(NamedTuple):
    """An earlier copy of a store; ``last`` is the number of its last row of the saga log, or 0."""

    store: SQLiteStore
    last: int


@contextmanager
def empty_store() -> Iterator[Snapshot]:
    """Open an empty store in memory."""
    with closing(SQLiteStore(":memory:")) as store:
        yield Snapshot(store, 0)


@contextmanager
def copy_of(base: Path, store: Store) -> Iterator[Snapshot]:
    """Copy ``base``, an earlier copy of ``store`` made by any means that SQLite allows; it may be in use.

    The copy is in a temporary folder, and is deleted after the block. Raises `ConfigurationError` for a file
    that is not an earlier state of that store.
    """
    with TemporaryDirectory(prefix="choreo-") as folder:
        path = Path(folder) / "base.db"
        copy_database(base, path)
        with closing(SQLiteStore(path)) as copied:
            copied.db.execute("PRAGMA synchronous = OFF")  # it need not survive a crash
            last = last_row(copied)
            if copied.store_id != store.store_id or _row(copied, last) != _row(store, last):
                raise ConfigurationError(
                    f"{base} is not an earlier state of the store",
                    hint="make one with `sqlite3 STORE '.backup BASE'`, or by a copy while no worker runs",
                )
            yield Snapshot(copied, last)


def last_row(store: Store) -> int:
    """Return the number of the last row of a saga log; 0 where it has none."""
    return int(store.db.execute("SELECT ifnull(max(id), 0) FROM saga_log").fetchone()[0])


def copy_database(source: Path, target: Path) -> None:
    """Copy an SQLite database, which may be in use, by SQLite's own backup. Raises `ConfigurationError`."""
    if not source.is_file():
        raise ConfigurationError(f"there is no file {source}", hint="name a copy of the store")
    try:
        make_private(target)
        with (
            closing(sqlite3.connect(f"{source.resolve().as_uri()}?mode=ro", uri=True)) as given,
            closing(sqlite3.connect(target)) as copied,
        ):
            given.backup(copied)
    except sqlite3.Error as error:
        raise ConfigurationError(
            f"{source} can't be copied: {error}", hint="it must be an SQLite database"
        ) from None


def _row(store: Store, number: int) -> list[tuple[int, Entry]]:
    """Return one row of the saga log, without its payload, which may have been erased meanwhile."""
    found = store.rows(number - 1, 1) if number else ()
    return [(number, entry._replace(payload=None)) for number, entry in found]


@contextmanager
def draft_store(
    path: Path, backup: Path | None, *, anew: bool = False, dry_run: bool = False
) -> Iterator[SQLiteStore]:
    """Open a draft of the database ``path``, which begins as a copy of ``backup`` or empty.

    The draft is renamed to ``path`` when the block succeeds. Otherwise it is kept, and the next call
    continues with it unless ``anew`` is true. With ``dry_run`` it is deleted. Raises `ConfigurationError` if
    ``path`` exists, or if the backup can't be read.
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
    if unfinished.is_symlink():
        raise ConfigurationError(f"{unfinished} is a symbolic link", hint="remove it")
    with _open(unfinished, backup) as store:
        yield store
    os.replace(unfinished, path)


@contextmanager
def _open(path: Path, backup: Path | None) -> Iterator[SQLiteStore]:
    if backup is not None and not path.exists():
        with draft_folder(path) as folder:
            copied = folder / "store.db"
            copy_database(backup, copied)
            os.replace(copied, path)
    with closing(SQLiteStore(path)) as store:
        yield store
