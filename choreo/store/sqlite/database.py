"""Opening a database file, or raising an error that says why it can't be opened."""

from __future__ import annotations

import os
import sqlite3
import time
from contextlib import suppress
from pathlib import Path

from sqlite_utils import Database

from choreo.drafts import make_private
from choreo.errors import StoreError
from choreo.store.sqlite.errors import (
    is_busy,
    refuse_old_library,
    refuse_unidentified,
    refuse_views,
    store_error,
)
from choreo.store.sqlite.files import identity_of
from choreo.store.sqlite.forks import opened, refuse_inherited
from choreo.store.sqlite.guard import GuardedConnection
from choreo.store.sqlite.migrations import migrate
from choreo.store.sqlite.wal import LIMIT

# The prepared statements that Python keeps: the store's are about twenty, the others are the handlers'.
_KEPT_STATEMENTS = 256


def open_database(
    path: str | Path, busy_timeout: float, image: bytes = b"", *, any_thread: bool = False
) -> Database:
    """Open the database at ``path``, durable and up to date; make it where there is none.

    ``busy_timeout`` is in seconds; ``image`` is what a database in memory begins with. ``any_thread`` may use
    it, one after the other. Raises `StoreError` with a hint, whatever is wrong with the file.
    """
    name = str(path)
    refuse_old_library(name)
    if name != ":memory:":
        _check_path(Path(path))
        refuse_inherited(name)
        _make_private(name)
        if image:
            raise StoreError(f"{name} is a file: only a database in memory begins with an image")
    try:
        connection = sqlite3.connect(
            name,
            timeout=busy_timeout,
            isolation_level=None,
            cached_statements=_KEPT_STATEMENTS,
            check_same_thread=not any_thread,
            factory=GuardedConnection,
        )
    except sqlite3.Error as error:
        raise store_error(name, error) from error
    try:
        if name != ":memory:":
            connection.identity = identity_of(name)
            opened(connection)
        if image:
            connection.deserialize(image)
        refuse_views(connection, name)
        db = _prepared(connection, name, busy_timeout)
        refuse_unidentified(connection, name)
        connection.execute("PRAGMA busy_timeout = 0")  # from now on, the turn waits
        return db
    except (sqlite3.Error, UnicodeError) as error:
        connection.close()
        raise store_error(name, error) from error
    except BaseException:
        connection.close()
        raise


def _make_private(name: str) -> None:
    """Make the file that SQLite would make for everybody to read; the files beside it get its mode."""
    with suppress(OSError):  # SQLite says what is wrong
        make_private(Path(os.path.realpath(name)))


def _check_path(path: Path) -> None:
    if path.is_dir():
        raise StoreError(f"{path} is a folder, not a database", hint="give the path of a file in it")
    if not path.parent.is_dir():
        raise StoreError(f"the folder {path.parent} doesn't exist", hint="make it first, or check the path")
    if path.exists() and not os.access(path, os.R_OK):
        raise StoreError(f"the database {path} can't be read", hint="check who may read the file")
    if path.exists() and not os.access(path, os.W_OK):
        raise StoreError(f"the database {path} can't be written", hint="check who may write the file")


def _prepared(connection: sqlite3.Connection, name: str, busy_timeout: float) -> Database:
    mode = _write_ahead(connection, busy_timeout)
    if mode not in ("wal", "memory"):
        raise StoreError(
            f"the database {name} can't use a write-ahead log", hint="put it on a local disk, not on a share"
        )
    # NORMAL would lose the last turns at a power loss, after their events have been published.
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute(f"PRAGMA journal_size_limit = {LIMIT}")
    # What is deleted is overwritten with zeros; builds of SQLite differ in whether that is the default.
    connection.execute("PRAGMA secure_delete = ON")
    db = Database(connection, execute_plugins=False)
    migrate(db)
    return db


def _write_ahead(connection: sqlite3.Connection, busy_timeout: float) -> str:
    """Switch to WAL, and return the mode; SQLite doesn't wait by itself where two processes do so at once."""
    give_up = time.monotonic() + busy_timeout
    while True:
        try:
            return str(connection.execute("PRAGMA journal_mode = WAL").fetchone()[0])
        except sqlite3.OperationalError as error:
            if not is_busy(error) or time.monotonic() > give_up:
                raise
            time.sleep(0.005)
