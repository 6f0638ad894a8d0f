"""The one place that knows which store an address or a path names."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from choreo.errors import ConfigurationError
from choreo.store.reader import TableReader
from choreo.store.sqlite import reader as files

if TYPE_CHECKING:
    from choreo.ports import Stores
    from choreo.ports.findings import Finding
    from choreo.store.tables import TableStore

_ADDRESS = re.compile(r"postgres(?:ql)?://")

MEMORY = ":memory:"
"""The path of a store that is gone when it is closed."""


def is_address(place: str | Path) -> bool:
    """Whether a store is named by the address of a PostgreSQL database, not by a path.

    >>> is_address("postgresql://shop@db.example/shop"), is_address("shop.db")
    (True, False)
    """
    return isinstance(place, str) and _ADDRESS.match(place) is not None


def place_of(named: str) -> str | Path:
    """Return the address, or the path, that an option names."""
    return named if is_address(named) else Path(named)


def shown(place: str | Path) -> str:
    """Return an address as it may be shown, without its password; or a path."""
    return str(_postgresql().shown(str(place))) if is_address(place) else str(place)


def open_store(
    place: str | Path,
    *,
    busy_timeout: float = 5.0,
    any_thread: bool = False,
    chance: Callable[[int], bytes] = os.urandom,
) -> TableStore:
    """Open a participant's store. Raises `StoreError`, `ConfigurationError` where the driver is missing.

    ``busy_timeout`` is the time to wait for another writer, in seconds. The store belongs to the thread that
    opens it, unless ``any_thread`` may use it, one after the other. ``chance`` returns so many random bytes.
    """
    if place == MEMORY:
        in_memory: TableStore = _sqlite().in_memory(chance)
        return in_memory
    kind = _postgresql() if is_address(place) else _sqlite()
    opened: TableStore = kind.Store(place, busy_timeout=busy_timeout, any_thread=any_thread, chance=chance)
    return opened


def stores_of(place: str | Path, participant: str, prepare: Callable[[Any], None] | None) -> Stores:
    """Return a participant's store as processes other than its worker use it; nothing is opened yet.

    Raises `ConfigurationError` where the driver is missing.
    """
    if is_address(place):
        pool: Stores = _postgresql().Stores(place, participant, prepare)
    else:
        pool = _sqlite().Stores(Path(place), participant, prepare)
    return pool


def open_reader(place: str) -> TableReader:
    """Open a store to read it, beside its worker. Raises `StoreError`, `ConfigurationError`."""
    reader: TableReader = _postgresql().Reader(place) if is_address(place) else files.StoreReader(place)
    return reader


def reader_of_copy(path: str) -> AbstractContextManager[TableReader]:
    """Read a copy of a file: its log can be opened by a writer only, or it is of an older choreo."""
    reader: AbstractContextManager[TableReader] = _sqlite().reader_of_copy(path)
    return reader


def is_store(path: str) -> bool:
    """Whether a file is a store."""
    return files.holds_store(path)


def is_writable(place: str) -> bool:
    """Whether this process may write a store, as far as the file system says."""
    return is_address(place) or files.may_be_written(place)


@contextmanager
def readable(place: str) -> Iterator[str]:
    """Yield a place from which a store can be opened to read it: a copy of a file that may not be written.

    Raises `StoreError` where that can't be made.
    """
    if is_writable(place):
        yield place
        return
    with files.private_copy(place) as copied:
        yield copied


def condition(place: str, seconds: float) -> Iterator[Finding]:
    """Yield what is wrong with a store, without writing to it. Raises `ConfigurationError`."""
    found: Iterator[Finding] = (_postgresql() if is_address(place) else _sqlite()).condition(place, seconds)
    return found


def copy_database(source: Path, target: Path) -> None:
    """Copy a database file, which may be in use. Raises `ConfigurationError`."""
    _sqlite().copy_database(source, target)


def migrate(place: str) -> Sequence[str]:
    """Make a store's tables, or bring them up to date; return the migrations that took, where known."""
    if is_address(place):
        took: Sequence[str] = _postgresql().migrate_database(place)
        return took
    open_store(place).close()
    return ()


def scratch(address: str, name: str) -> AbstractContextManager[str]:
    """Make a new database with a store's tables on a PostgreSQL server, and drop it after the block.

    The block has its address. Raises `StoreError`.
    """
    made: AbstractContextManager[str] = _postgresql().scratch(address, name)
    return made


def ddl() -> str:
    """Return the statements that make the tables of a store in PostgreSQL."""
    return str(_postgresql().ddl())


def _sqlite() -> Any:
    """Return the module of stores in SQLite: commands that only read are faster without it."""
    from choreo.store.sqlite import opening

    return opening


def _postgresql() -> Any:
    """Return the module of stores in PostgreSQL: only who has one needs its driver."""
    try:
        from choreo.store.postgresql import opening
    except ImportError as error:
        raise ConfigurationError(
            f"a store in PostgreSQL needs psycopg, which can't be used here: {error}",
            hint="pip install 'choreo-saga[postgresql]'",
        ) from None
    return opening
