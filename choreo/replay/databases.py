"""The databases that replay works on: copies of a store, and drafts of a store to be rebuilt."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from choreo.drafts import draft_folder
from choreo.errors import ConfigurationError
from choreo.ports import Store
from choreo.records import Entry
from choreo.store.copying import copy_store, refuse_used
from choreo.store.opening import MEMORY, copy_database, is_address, open_store, shown
from choreo.store.tables import TableStore


class Snapshot(NamedTuple):
    """An earlier copy of a store; ``last`` is the number of its last row of the saga log, or 0."""

    store: TableStore
    last: int


class _Undone(Exception):
    """Leaves a turn of which nothing is to stay."""


@contextmanager
def empty_store() -> Iterator[Snapshot]:
    """Open an empty store in memory."""
    with closing(open_store(MEMORY)) as store:
        yield Snapshot(store, 0)


@contextmanager
def trial(store: Store) -> Iterator[None]:
    """Open a turn of a store, all of which is undone at its end."""
    with suppress(_Undone), store.turn():
        yield
        raise _Undone


@contextmanager
def copy_of(base: str, store: Store) -> Iterator[Snapshot]:
    """Open a copy of ``base``, an earlier copy of ``store``; it may be in use.

    That of a file is in a temporary folder, and is deleted after the block. A base in PostgreSQL is opened
    itself: what is written to it must be undone. Raises `ConfigurationError` for what is not an earlier state
    of that store.
    """
    if is_address(base):
        with closing(open_store(base)) as opened:
            yield _earlier(opened, store, base, "make one with pg_dump and pg_restore, into another database")
        return
    with TemporaryDirectory(prefix="choreo-") as folder:
        path = Path(folder) / "base.db"
        copy_database(Path(base), path)
        with closing(open_store(path)) as copied:
            copied.db.execute("PRAGMA synchronous = OFF")  # it need not survive a crash
            hint = "make one with `sqlite3 STORE '.backup BASE'`, or by a copy while no worker runs"
            yield _earlier(copied, store, base, hint)


def _earlier(copied: TableStore, store: Store, base: str, hint: str) -> Snapshot:
    last = copied.saga_log.last_id
    if copied.store_id != store.store_id or _row(copied, last) != _row(store, last):
        raise ConfigurationError(f"{shown(base)} is not an earlier state of the store", hint=hint)
    return Snapshot(copied, last)


def _row(store: Store, number: int) -> list[tuple[int, Entry]]:
    """Return one row of the saga log, without its payload, which may have been erased meanwhile."""
    found = store.rows(number - 1, 1) if number else ()
    return [(number, entry._replace(payload=None)) for number, entry in found]


@contextmanager
def draft_store(
    place: str | Path, backup: Path | None, *, anew: bool = False, dry_run: bool = False
) -> Iterator[TableStore]:
    """Open a draft of the database at a path, which begins as a copy of ``backup`` or empty.

    The draft is renamed to the path when the block succeeds. Otherwise it is kept, and the next call
    continues with it unless ``anew`` is true. With ``dry_run`` it is deleted. That of a database in
    PostgreSQL is a temporary file, which is copied into it. Raises `ConfigurationError` if there is a store
    already, or if the backup can't be read.
    """
    if is_address(place):
        with _draft_of_database(str(place), backup, dry_run=dry_run) as store:
            yield store
        return
    path = Path(place)
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
    if anew:
        for each in ("", "-wal", "-shm"):
            Path(f"{unfinished}{each}").unlink(missing_ok=True)
    with _open(unfinished, backup) as store:
        yield store
    os.replace(unfinished, path)


@contextmanager
def _draft_of_database(address: str, backup: Path | None, *, dry_run: bool) -> Iterator[TableStore]:
    if backup is not None:
        raise ConfigurationError(
            "a store in PostgreSQL is rebuilt whole, without --backup",
            hint="restore the service's own tables with pg_restore, then `choreo store migrate`",
        )
    with closing(open_store(address)) as target:
        refuse_used(target)
        with TemporaryDirectory(prefix="choreo-") as folder, _open(Path(folder) / "store.db", None) as store:
            yield store
            if not dry_run:
                copy_store(store, target)


@contextmanager
def _open(path: Path, backup: Path | None) -> Iterator[TableStore]:
    if backup is not None and not path.exists():
        with draft_folder(path) as folder:
            copied = folder / "store.db"
            copy_database(backup, copied)
            os.replace(copied, path)
    with closing(open_store(path)) as store:
        yield store
