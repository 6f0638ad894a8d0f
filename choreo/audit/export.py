"""Exports as files: written whole or not at all, and read back into a store of their own."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager, suppress
from itertools import groupby, islice
from pathlib import Path
from typing import IO

from choreo.audit.archive import HINT, Origin, Record, rows_in
from choreo.audit.avro_file import MAGIC, read_container
from choreo.audit.json_lines import read_lines
from choreo.audit.verification import saga_ids
from choreo.chain import Row, first_misfit
from choreo.errors import ArchiveError
from choreo.store.sqlite.restoring import adopt, restore
from choreo.store.sqlite.store import SQLiteStore

_AT_ONCE = 1_000

Watch = Callable[[Iterable[Row]], Iterable[Row]]
"""Shows how far it is: gives what it was given."""


@contextmanager
def whole_file(path: Path) -> Iterator[IO[bytes]]:
    """Write a file beside that path, and put it there once all is written."""
    draft = path.with_name(f".{path.name}.new")
    try:
        with draft.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(draft, path)
    except OSError as error:
        raise ArchiveError(f"{path} can't be written: {error.strerror}", hint="check the folder") from None
    finally:
        draft.unlink(missing_ok=True)


def read_export(file: IO[bytes]) -> tuple[Origin, Iterator[Row]]:
    """Read an export, in whichever format. Raises `ArchiveError`, also while its rows are read."""
    begin = file.read(len(MAGIC))
    file.seek(0)
    records: Iterator[Record] = read_container(file) if begin == MAGIC else read_lines(file)
    return rows_in(records)


def import_export(file: IO[bytes], path: Path, watch: Watch = iter) -> Origin:
    """Make a store of an export, to read and to replay from: no worker will run on it.

    It is made beside ``path``, checked, and then put there. Raises `ArchiveError` where there is something
    already, and for an export that isn't whole or whose chains don't hold.
    """
    if path.exists():
        raise ArchiveError(
            f"{path} is there already", hint="an import makes a store of its own: name another"
        )
    draft = path.with_name(f".{path.name}.importing")
    try:
        origin, rows = read_export(file)
        _clear(draft)
        with closing(SQLiteStore(draft)) as store:
            fill(store, origin, watch(rows))
            _refuse_misfits(store)
        os.replace(draft, path)
    finally:
        _clear(draft)
    return origin


def check_export(file: IO[bytes], watch: Watch = iter) -> Origin:
    """Read an export, and check that it is whole and its chains hold, as `import_export` does."""
    origin, rows = read_export(file)
    for saga_id, of_saga in groupby(watch(rows), lambda row: row.entry.saga_id):
        _refuse_misfit(saga_id, of_saga, origin.unchained)
    return origin


def fill(store: SQLiteStore, origin: Origin, rows: Iterable[Row]) -> None:
    """Write an export's rows into a store that is empty."""
    with store.turn():
        adopt(store, origin.store_id, origin.participant, origin.unchained)
    rest = iter(rows)
    while some := list(islice(rest, _AT_ONCE)):
        with store.turn():
            restore(store, some)


def _refuse_misfits(store: SQLiteStore) -> None:
    log = store.saga_log
    for saga_id in saga_ids(log):
        _refuse_misfit(saga_id, log.chain(saga_id), log.unchained)


def _refuse_misfit(saga_id: str, rows: Iterable[Row], unchained: int) -> None:
    misfit = first_misfit(rows, unchained)
    if misfit:
        raise ArchiveError(f"saga {saga_id}, row {misfit.row.id}: {misfit.why}", hint=HINT)


def _clear(draft: Path) -> None:
    for suffix in ("", "-wal", "-shm"):
        with suppress(FileNotFoundError):
            draft.with_name(draft.name + suffix).unlink()
