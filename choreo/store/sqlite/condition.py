"""Looks at a store's file without writing to it: whether it is whole, safe where it lies, and has room."""

from __future__ import annotations

import os
import shutil
import sqlite3
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Final

from choreo.errors import StoreError
from choreo.ports.findings import Finding
from choreo.store import in_flight
from choreo.store.sqlite.dialect import SEARCHES
from choreo.store.sqlite.errors import refuse_old_library
from choreo.store.sqlite.migrations import NAMES, TRIGGERS
from choreo.store.sqlite.reader import connect_read_only, is_at_rest, may_be_written
from choreo.store.sqlite.wal import LIMIT, writers_of

_LITTLE, _NEARLY_NONE = 2**30, 64 * 2**20
"""Bytes of free room below which there is a warning, or an error."""

_WAL: Final = b"\x02\x02"

_PATIENCE: Final = 2.0
"""Seconds for which a writer may keep the store locked."""

_STEPS: Final = 100_000
"""Instructions of SQLite between two looks at the time."""

_REMOTE: Final = frozenset(("nfs", "nfs4", "cifs", "smb3", "smbfs", "afs", "ceph", "fuse.sshfs"))
"""File systems on which a write-ahead log shares no memory between processes."""


def file_condition(
    path: str, seconds: float, *, free: Callable[[str], int] = lambda path: shutil.disk_usage(path).free
) -> Iterator[Finding]:
    """Yield what is wrong with a store's file, in about so many seconds at most.

    One that is not there is made at the first start; then only its folder is looked at.
    """
    try:
        refuse_old_library(path)
    except StoreError as error:
        yield Finding("error", path, error.message, error.hint)
        return
    place = Path(path)
    folder = place.absolute().parent
    try:
        is_there = _is_there(place)
        has_folder = folder.is_dir()
    except OSError as error:
        hint = "name another --store, or run this as the worker's user"
        yield Finding("error", path, f"it can't be looked at: {error.strerror}", hint)
        return
    if not has_folder:
        yield Finding("error", path, f"there is no folder {folder}", "make it, or name another --store")
        return
    yield from _of_folder(path, folder, free)
    if not is_there:
        return
    if not place.is_file() or not os.access(place, os.R_OK):
        yield Finding("error", path, "it can't be read", "is it a file, and this user's?")
        return
    yield from _of_file(path, place)
    yield from _of_database(path, seconds)


def _is_there(place: Path) -> bool:
    """Whether there is such a file. Raises `OSError` for a path that is too long, or leads in a circle."""
    try:
        place.stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True


def _of_folder(path: str, folder: Path, free: Callable[[str], int]) -> Iterator[Finding]:
    if not may_be_written(path if Path(path).exists() else folder):
        hint = "run the worker, and this command, as the user that owns it"
        yield Finding("error", path, "it, or its folder, may not be written by this user", hint)
    room = free(str(folder))
    if room < _LITTLE:
        level, hint = ("error" if room < _NEARLY_NONE else "warning"), "a worker waits while its disk is full"
        yield Finding(level, path, f"its disk has {room // 2**20} MB left", hint)  # type: ignore[arg-type]
    kind = _file_system(folder)
    if kind in _REMOTE:
        why = f"it lies on a network file system ({kind}), where SQLite loses what two processes write"
        yield Finding("error", path, why, "use a local disk, or a store in PostgreSQL")


def _file_system(folder: Path) -> str:
    """Return the kind of file system of a folder, empty where the system does not tell."""
    try:
        mounts = [line.split() for line in Path("/proc/self/mounts").read_text().splitlines()]
    except OSError:
        return ""
    real = str(folder.resolve())
    held = [each for each in mounts if real == each[1] or real.startswith(each[1].rstrip("/") + "/")]
    return max(held, key=lambda each: len(each[1]))[2] if held else ""


def _of_file(path: str, place: Path) -> Iterator[Finding]:
    mode = place.stat().st_mode
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        why = f"others may read its payloads (its mode is {stat.S_IMODE(mode):o})"
        yield Finding("warning", path, why, f"chmod 600 {path}")
    log = Path(f"{path}-wal")
    size = log.stat().st_size if log.exists() else 0
    if size > LIMIT:
        why = f"its write-ahead log has {size // 2**20} MB: some process reads the store for long"
        yield Finding("warning", path, why, "end that reader, such as a backup; a worker's log names it")


def _of_database(path: str, seconds: float) -> Iterator[Finding]:
    try:
        with closing(connect_read_only(path, at_rest=is_at_rest(path))) as connection:
            yield from _of_tables(path, connection)
            yield from _whole(path, connection, seconds)
    except (sqlite3.Error, OSError, UnicodeError, StoreError) as error:
        what = "is damaged" if "malformed" in str(error) else "can't be opened"
        yield Finding("error", path, f"it {what}: {error}", "restore it from a backup")
        return
    yield from _locked(path)


def _of_tables(path: str, connection: sqlite3.Connection) -> Iterator[Finding]:
    tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}
    if "choreo_store" not in tables:
        if tables:
            why = "it has other tables, and none of choreo's"
            yield Finding("warning", path, why, "the first start adds them: is it the right file?")
        return
    query = "SELECT name FROM _sqlite_migrations WHERE migration_set = 'choreo'"
    applied = {name for (name,) in connection.execute(query)}
    newer = sorted(applied.difference(NAMES))
    if newer:
        why = f"a newer choreo made it (it has {', '.join(newer)})"
        yield Finding("error", path, why, "upgrade choreo here, or restore the file of before")
    elif applied != set(NAMES):
        hint = "back it up: the next start brings it up to date"
        yield Finding("warning", path, "an older choreo made it", hint)
    elif lost := [each for each in TRIGGERS if each not in tables]:
        yield Finding("error", path, *in_flight.lost_triggers(lost))
    if not newer and _versions(path) != _WAL:
        yield Finding("warning", path, "its journal mode is not wal", "the next start sets it")


def _versions(path: str) -> bytes:
    """Return how a file is to be written and read; SQLite doesn't tell it of one that is opened read-only."""
    with open(path, "rb") as file:
        file.seek(18)
        return file.read(2)


def _whole(path: str, connection: sqlite3.Connection, seconds: float) -> Iterator[Finding]:
    until = time.monotonic() + seconds
    connection.set_progress_handler(lambda: time.monotonic() > until, _STEPS)
    try:
        found = [text for (text,) in connection.execute("PRAGMA quick_check(3)")]
        is_known = found == ["ok"] and _has_table(connection)
        astray = connection.execute(SEARCHES.astray).fetchone()[0] if is_known else 0
    except sqlite3.OperationalError as error:
        if "interrupted" not in str(error):
            raise
        why = f"it is too large to be checked in {seconds:g} s"
        yield Finding("warning", path, why, "give more --seconds, or check a copy with PRAGMA quick_check")
        return
    finally:
        connection.set_progress_handler(None, 0)
    if found != ["ok"]:
        yield Finding("error", path, f"it is damaged: {found[0]}", "restore it from a backup")
    elif astray:
        yield Finding("error", path, *in_flight.astray(astray))


def _has_table(connection: sqlite3.Connection) -> bool:
    """Whether there is a table of the sagas in flight."""
    query = "SELECT 1 FROM sqlite_master WHERE name = 'sagas_in_flight'"
    return connection.execute(query).fetchone() is not None


def _locked(path: str) -> Iterator[Finding]:
    """Look whether one process writes to the store all the time; the lock itself is not asked for."""
    until = time.monotonic() + _PATIENCE
    while writers := writers_of(path):
        if time.monotonic() > until:
            why = f"{writers[0]} keeps it locked for {_PATIENCE:g} s"
            yield Finding("error", path, why, "a worker waits meanwhile: which transaction is open there?")
            return
        time.sleep(0.05)
