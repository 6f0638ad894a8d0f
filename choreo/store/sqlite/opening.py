"""What `choreo.store.opening` opens where a path names a database file."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import cache
from pathlib import Path

from choreo.drafts import make_private
from choreo.errors import ConfigurationError
from choreo.store.sqlite.condition import file_condition
from choreo.store.sqlite.pool import SQLitePool
from choreo.store.sqlite.reader import StoreReader, private_copy
from choreo.store.sqlite.store import SQLiteStore

__all__ = ["Store", "Stores", "condition", "copy_database", "in_memory", "reader_of_copy"]

Store = SQLiteStore
Stores = SQLitePool
condition = file_condition


def in_memory(chance: Callable[[int], bytes]) -> SQLiteStore:
    """Open an empty store in memory."""
    return SQLiteStore(":memory:", image=_empty(), chance=chance)


@cache
def _empty() -> bytes:
    """Return the image of an empty store, of which every store in memory is a copy."""
    with closing(SQLiteStore(":memory:")) as store:
        return store.image()


@contextmanager
def reader_of_copy(path: str) -> Iterator[StoreReader]:
    """Read a copy: the store has a log that only a writer can open, or it is of an older choreo."""
    with private_copy(path) as copied:
        SQLiteStore(copied).close()  # brings it up to date
        with StoreReader(copied, name=path) as reader:
            yield reader


def copy_database(source: Path, target: Path) -> None:
    """Copy a database, which may be in use, by SQLite's own backup. Raises `ConfigurationError`."""
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
