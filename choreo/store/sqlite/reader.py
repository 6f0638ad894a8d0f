"""Reading a store's file: beside its worker, or where nobody uses it, without leaving a file behind."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from shutil import copyfile
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

from choreo.errors import StoreError
from choreo.store.reader import Reading, TableReader
from choreo.store.sqlite.dialect import SEARCHES, SQLITE
from choreo.store.sqlite.errors import refuse_old_library, refuse_views, store_error

T = TypeVar("T")

_PATIENCE = 5.0
"""Seconds to wait where a checkpoint has the file for a moment."""

_NO_STORE = (sqlite3.SQLITE_ERROR, sqlite3.SQLITE_NOTADB)
"""What SQLite says of a database without a store's tables, and of a file that is no database."""


def connect_read_only(
    path: str | Path, *, at_rest: bool = False, patience: float = _PATIENCE
) -> sqlite3.Connection:
    """Open a database read-only; with ``at_rest`` (see `is_at_rest`) without files beside it."""
    uri = f"{Path(path).resolve().as_uri()}?mode=ro{'&immutable=1' if at_rest else ''}"
    return sqlite3.connect(uri, uri=True, timeout=patience, isolation_level=None)


def is_at_rest(path: str | Path) -> bool:
    """Whether nobody has the database open: whoever does has a write-ahead log beside it."""
    return not Path(f"{path}-wal").exists()


def holds_store(path: str | Path) -> bool:
    """Whether a file is a store, or one that can't be read, so that it can't be told that it is none."""
    if not os.path.isfile(path):
        return False
    is_unread = False
    # A write-ahead log that can't be opened is no part of what the file is.
    for at_rest in sorted({is_at_rest(path), True}):
        try:
            with closing(connect_read_only(path, at_rest=at_rest, patience=0.0)) as connection:
                connection.execute("SELECT 1 FROM choreo_store")
                return True
        except (sqlite3.Error, UnicodeError) as error:
            is_unread = getattr(error, "sqlite_errorcode", _NO_STORE[0]) not in _NO_STORE
    return is_unread


def may_be_written(path: str | Path) -> bool:
    """Whether this process may write a database and the files beside it."""
    return os.access(path, os.W_OK) and os.access(Path(path).absolute().parent, os.W_OK)


@contextmanager
def private_copy(path: str | Path) -> Iterator[str]:
    """Copy a database that may only be read, with what is in its write-ahead log, for as long as the block.

    Raises `StoreError` where that can't be done.
    """
    with TemporaryDirectory(prefix="choreo-") as folder:
        target = Path(folder) / Path(path).name
        try:
            if Path(f"{path}-shm").exists():  # somebody else may use it
                with closing(connect_read_only(path)) as given, closing(sqlite3.connect(target)) as copied:
                    given.backup(copied)
            else:
                copyfile(path, target)
                if not is_at_rest(path):
                    copyfile(f"{path}-wal", f"{target}-wal")
        except (OSError, sqlite3.Error) as error:
            raise store_error(str(path), error) from error
        yield str(target)


def changed_at(path: str | Path) -> int:
    """Return when the file was written last, in nanoseconds; every checkpoint writes it."""
    return Path(path).stat().st_mtime_ns


class StoreReader(TableReader):
    """Reads one store, as a `choreo.timeline.source.Source`; it and the worker never wait for each other.

    Raises `StoreError` where the file
    can't be read, or isn't a store of this choreo's.
    """

    _sql = Reading(SQLITE)
    _searches = SEARCHES

    def __init__(self, path: str | Path, *, name: str = "") -> None:
        self.path = name or str(path)
        self._file = str(path)
        self._changed_at = 0
        self._is_at_once = False
        self._connection = self._open()
        try:
            self._refuse_views()
            owners = self._rows(self._sql.owner)
            self.owner = str((owners and owners[0][0]) or "")
            self.participant = self.owner or Path(path).stem
        except BaseException:
            self._connection.close()
            raise

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def _refuse_views(self) -> None:
        try:
            refuse_views(self._connection, self.path)
        except sqlite3.Error as error:
            raise store_error(self.path, error) from error

    def _open(self) -> sqlite3.Connection:
        refuse_old_library(self.path)
        try:
            at_rest = is_at_rest(self._file)
            self._changed_at = changed_at(self._file) if at_rest else 0
            return connect_read_only(self._file, at_rest=at_rest)
        except (OSError, sqlite3.Error) as error:
            raise store_error(self.path, error) from error

    def _is_reopened(self) -> bool:
        """Whether somebody uses a file that nobody used when it was opened; it is then opened anew."""
        if self._is_at_once or not self._changed_at:
            return False
        if is_at_rest(self._file) and changed_at(self._file) == self._changed_at:
            return False
        self._connection.close()
        self._connection = self._open()
        return True

    def _at_once(self, read: Callable[[], T]) -> T:
        try:
            found = self._of_one_moment(read)
        except StoreError:
            if self._is_reopened():
                return self._at_once(read)
            raise
        return self._at_once(read) if self._is_reopened() else found

    def _of_one_moment(self, read: Callable[[], T]) -> T:
        """Read in one transaction; whether the file was opened by others is looked at once, after it."""
        self._query("BEGIN", ())
        self._is_at_once = True
        try:
            return read()
        finally:
            self._is_at_once = False
            self._connection.rollback()

    def _rows(self, sql: str, *values: object) -> Sequence[Any]:
        try:
            found = self._query(sql, values)
        except StoreError:
            if self._is_reopened():
                return self._query(sql, values)
            raise
        return self._query(sql, values) if self._is_reopened() else found

    def _query(self, sql: str, values: Sequence[object]) -> Sequence[Any]:
        try:
            return self._connection.execute(sql, values).fetchall()
        except sqlite3.OperationalError as error:
            if "no such" in str(error):
                raise StoreError(
                    f"{self.path} is not a store of this version of choreo's: {error}",
                    hint="a worker of this version brings it up to date when it starts",
                ) from error
            raise store_error(self.path, error) from error
        except (sqlite3.Error, UnicodeError) as error:
            raise store_error(self.path, error) from error
