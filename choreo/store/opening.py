"""The one place that knows which store an address or a path names."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from choreo.errors import ConfigurationError
from choreo.store.reader import TableReader
from choreo.store.sqlite.reader import StoreReader

if TYPE_CHECKING:
    from choreo.store.postgresql.store import PostgreSQLStore
    from choreo.store.sqlite.store import SQLiteStore

    AnyStore = SQLiteStore | PostgreSQLStore

_ADDRESS = re.compile(r"postgres(?:ql)?://")


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
    return _postgresql().shown(str(place)) if is_address(place) else str(place)


def open_store(place: str | Path, *, busy_timeout: float = 5.0, any_thread: bool = False) -> AnyStore:
    """Open a participant's store. Raises `StoreError`, `ConfigurationError` where the driver is missing."""
    kind = _postgresql().PostgreSQLStore if is_address(place) else _sqlite()
    return kind(place, busy_timeout=busy_timeout, any_thread=any_thread)


def open_reader(place: str) -> TableReader:
    """Open a store to read it, beside its worker. Raises `StoreError`, `ConfigurationError`."""
    return _postgresql().PostgreSQLReader(place) if is_address(place) else StoreReader(place)


def migrate(place: str) -> Sequence[str]:
    """Make a store's tables, or bring them up to date; return the migrations that took, where known."""
    if is_address(place):
        took: Sequence[str] = _postgresql().migrate_database(place)
        return took
    _sqlite()(place).close()
    return ()


def ddl() -> str:
    """Return the statements that make the tables of a store in PostgreSQL."""
    return str(_postgresql().ddl())


def _sqlite() -> type[SQLiteStore]:
    """Return the class of stores in SQLite: commands that only read are faster without it."""
    from choreo.store.sqlite.store import SQLiteStore

    return SQLiteStore


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
