"""Reading a store's file: beside its worker, or where nobody uses it, without leaving a file behind."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from shutil import copyfile
from tempfile import TemporaryDirectory
from typing import Any, Self

from choreo.errors import StoreError
from choreo.records import DeadLetter, Entry, InFlight, Release, Scheduled
from choreo.store.in_flight import in_flight
from choreo.store.releases import release_of
from choreo.store.sqlite.dialect import SEARCHES, SQL
from choreo.store.sqlite.errors import refuse_views, store_error
from choreo.store.sqlite.rows import columns
from choreo.timeline.participant_view import ParticipantView
from choreo.timeline.source import LastEntry

_PATIENCE = 5.0
"""Seconds to wait where a checkpoint has the file for a moment."""


def connect_read_only(path: str | Path, *, at_rest: bool = False) -> sqlite3.Connection:
    """Open a database read-only; with ``at_rest`` (see `is_at_rest`) without files beside it."""
    uri = f"{Path(path).resolve().as_uri()}?mode=ro{'&immutable=1' if at_rest else ''}"
    return sqlite3.connect(uri, uri=True, timeout=_PATIENCE, isolation_level=None)


def is_at_rest(path: str | Path) -> bool:
    """Whether nobody has the database open: whoever does has a write-ahead log beside it."""
    return not Path(f"{path}-wal").exists()


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


_ENTRIES = f"SELECT {columns(Entry._fields)} FROM saga_log WHERE saga_id = ? ORDER BY id"
_SCHEDULED = f"SELECT {columns(Scheduled._fields)} FROM schedule WHERE saga_id = ? ORDER BY due, id"
_DEAD_LETTERS = f"SELECT {columns(DeadLetter._fields)} FROM dead_letters WHERE saga_id = ? ORDER BY id"
_UNPUBLISHED = "SELECT saga_type, event_id FROM outbox WHERE saga_id = ?"
_OWNER = "SELECT participant FROM choreo_store"

_LAST_ENTRY = "row.id, row.saga_id, row.saga_type, row.saga_state, row.recorded_at, row.saga_version"
# From the newest row back, so that no more is read than is taken.
_LATEST = f"""
SELECT {_LAST_ENTRY} FROM saga_log AS row
WHERE row.id < ? AND row.input <> 'pruned' AND NOT EXISTS (
    SELECT 1 FROM saga_log AS newer
    WHERE newer.saga_id = row.saga_id AND newer.saga_type = row.saga_type AND newer.id > row.id
)
ORDER BY row.id DESC LIMIT ?
"""
# Among many ended sagas the few that go on are found by the index alone, which holds each saga's last row.
_UNENDED = f"""
SELECT {_LAST_ENTRY} FROM (SELECT max(id) AS last FROM saga_log GROUP BY saga_id, saga_type) AS heads
CROSS JOIN saga_log AS row ON row.id = heads.last
WHERE row.saga_state NOT IN ('completed', 'failed') ORDER BY row.id
"""
_PAGE = 200
_AFTER = "SELECT DISTINCT saga_id FROM saga_log WHERE saga_id >= ? ORDER BY saga_id LIMIT ?"
_BEFORE = "SELECT DISTINCT saga_id FROM saga_log WHERE saga_id < ? ORDER BY saga_id DESC LIMIT ?"
_BEYOND = 2**62


class StoreReader:
    """Reads one store, as a `choreo.timeline.source.Source`; it and the worker never wait for each other.

    ``owner`` is the participant that has used it, empty where none has.

    ``owner`` is the participant that has used it, empty where none has. Raises `StoreError` where the file
    can't be read, or isn't a store of this choreo's.
    """

    def __init__(self, path: str | Path, *, name: str = "") -> None:
        self.path = name or str(path)
        self._file = str(path)
        self._changed_at = 0
        self._connection = self._open()
        try:
            self._refuse_views()
            owners = self._rows(_OWNER)
            self.owner = str((owners and owners[0][0]) or "")
            self.participant = self.owner or Path(path).stem
        except BaseException:
            self._connection.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def _refuse_views(self) -> None:
        try:
            refuse_views(self._connection, self.path)
        except sqlite3.Error as error:
            raise store_error(self.path, error) from error

    def _open(self) -> sqlite3.Connection:
        try:
            at_rest = is_at_rest(self._file)
            self._changed_at = changed_at(self._file) if at_rest else 0
            return connect_read_only(self._file, at_rest=at_rest)
        except (OSError, sqlite3.Error) as error:
            raise store_error(self.path, error) from error

    def views(self, saga_id: str) -> dict[str, ParticipantView]:
        """Return the views of the sagas with that id, all of one moment, by their type."""
        connection = self._connection
        with self._snapshot():
            rows = [self._rows(sql, saga_id) for sql in (_ENTRIES, _SCHEDULED, _DEAD_LETTERS, _UNPUBLISHED)]
        if self._connection is not connection:  # opened anew: not all is of one moment
            return self.views(saga_id)
        entries = [Entry._make(row) for row in rows[0]]
        scheduled = [Scheduled._make(row) for row in rows[1]]
        letters = [DeadLetter._make(row) for row in rows[2]]
        unpublished = rows[3]
        return {
            saga_type: ParticipantView(
                self.participant,
                [entry for entry in entries if entry.saga_type == saga_type],
                [row for row in scheduled if row.saga_type == saga_type],
                [letter for letter in letters if letter.saga_type == saga_type],
                frozenset(event_id for of_type, event_id in unpublished if of_type == saga_type),
                self.path,
            )
            for saga_type in dict.fromkeys(entry.saga_type for entry in entries)
        }

    def latest(self) -> Iterator[LastEntry]:
        """Yield the last row of every saga, the newest first; no more is read than is taken."""
        before = _BEYOND
        while rows := self._rows(_LATEST, before, _PAGE):
            yield from map(LastEntry._make, rows)
            before = rows[-1][0]

    def unended(self) -> Iterator[LastEntry]:
        """Yield the last row of every saga that has not ended, the oldest first."""
        yield from map(LastEntry._make, self._rows(_UNENDED))

    def releases(self) -> list[Release]:
        """Return the declarations that the store's workers ran with, oldest first."""
        return [release_of(row, self.path) for row in self._rows(SQL.releases)]

    def newest_release(self) -> Release | None:
        """Return the newest of them, None where there is none."""
        rows = self._rows(SQL.newest_release)
        return release_of(rows[0], self.path) if rows else None

    def in_flight(
        self,
        lacks: Callable[[str, str, str, str], bool],
        steps: Collection[str] | None,
        types: Collection[str],
    ) -> InFlight:
        """Return what sagas still need of some handlers, and which events they have seen; see the port.

        All of it is of one moment.
        """
        connection = self._connection
        with self._snapshot():
            found = in_flight(self._rows, SEARCHES, lacks, steps, types)
        return found if self._connection is connection else self.in_flight(lacks, steps, types)

    def similar(self, saga_id: str, limit: int) -> list[str]:
        """Return ids that stand beside an unknown one in the order of ids, and the latest ones."""
        found = [*self._rows(_AFTER, saga_id, limit), *self._rows(_BEFORE, saga_id, limit)]
        latest = [last.saga_id for last in map(LastEntry._make, self._rows(_LATEST, _BEYOND, limit))]
        return [*(row[0] for row in found), *latest]

    def _is_reopened(self) -> bool:
        """Whether somebody uses a file that nobody used when it was opened; it is then opened anew."""
        if not self._changed_at or (is_at_rest(self._file) and changed_at(self._file) == self._changed_at):
            return False
        self._connection.close()
        self._connection = self._open()
        return True

    @contextmanager
    def _snapshot(self) -> Iterator[None]:
        self._rows("BEGIN")
        try:
            yield
        finally:
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
