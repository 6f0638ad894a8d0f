"""Makes a store from an export, to read and to replay from; no worker runs on such a store."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from contextlib import closing
from itertools import groupby, islice
from pathlib import Path
from typing import IO

from choreo.audit.export import HINT, Origin
from choreo.audit.formats import read_export
from choreo.audit.verification import all_sagas
from choreo.chain import Row, chain_of, first_broken_link
from choreo.drafts import draft_folder
from choreo.errors import ArchiveError
from choreo.ports import Store
from choreo.store.opening import open_store
from choreo.store.saga_log import ALL_KEYED_BY_ID

_AT_ONCE = 1_000

Progress = Callable[[Iterable[Row]], Iterable[Row]]
"""Wraps the rows to show how many of them were read."""


def import_export(file: IO[bytes], path: Path, progress: Progress = iter) -> Origin:
    """Make a store from an export, and return the origin of its rows.

    The store is made in a temporary file, checked, and then renamed to ``path``. Raises `ArchiveError` if
    ``path`` exists, or if the export is incomplete or its chains are broken.
    """
    if path.exists():
        raise ArchiveError(
            f"{path} is there already", hint="an import makes a store of its own: name another"
        )
    origin, rows = read_export(file)
    try:
        with draft_folder(path) as folder:
            draft = folder / "store.db"
            with closing(open_store(draft)) as store:
                fill(store, origin, progress(rows))
                _refuse_broken_chains(store)
            os.replace(draft, path)
    except OSError as error:
        raise ArchiveError(f"{path} can't be made: {error.strerror}", hint="check the folder") from None
    return origin


def check_export(file: IO[bytes], progress: Progress = iter) -> Origin:
    """Check that an export is complete and its chains hold, as `import_export` does, but make no store."""
    origin, rows = read_export(file)
    keyed_by_id = ALL_KEYED_BY_ID if origin.keyed_by_id is None else origin.keyed_by_id
    for saga_id, with_id in groupby(progress(rows), lambda row: row.entry.saga_id):
        written = list(with_id)
        for saga_type in dict.fromkeys(row.entry.saga_type for row in written):
            chain = chain_of(written, saga_type, keyed_by_id)
            _refuse_broken_chain(saga_id, chain, origin.unchained)
    return origin


def fill(store: Store, origin: Origin, rows: Iterable[Row]) -> None:
    """Write the rows of an export into an empty store."""
    with store.turn():
        store.saga_log.adopt(
            origin.store_id, origin.participant, origin.unchained, origin.keyed_by_id, origin.releases
        )
    rest = iter(rows)
    while some := list(islice(rest, _AT_ONCE)):
        with store.turn():
            store.saga_log.restore(some)


def origin_of(participant: str, store: Store) -> Origin:
    """Return the origin of an export of a participant's store."""
    log = store.saga_log
    keyed_by_id = None if log.keyed_by_id == ALL_KEYED_BY_ID else log.keyed_by_id
    return Origin(participant, store.store_id, log.unchained, keyed_by_id, tuple(store.releases()))


def _refuse_broken_chains(store: Store) -> None:
    log = store.saga_log
    for saga in all_sagas(log):
        _refuse_broken_chain(saga.saga_id, log.chain(*saga), log.unchained)


def _refuse_broken_chain(saga_id: str, rows: Iterable[Row], unchained: int) -> None:
    broken = first_broken_link(rows, unchained)
    if broken:
        raise ArchiveError(f"saga {saga_id}, row {broken.row.id}: {broken.why}", hint=HINT)
