"""The one place that knows which store an address or a path names."""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from choreo.errors import ConfigurationError

if TYPE_CHECKING:
    from choreo.store.postgresql.store import PostgreSQLStore
    from choreo.store.reader import TableReader
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
    if not is_address(place):
        return str(place)
    _require_driver()
    from choreo.store.postgresql.errors import shown as shown_address

    return shown_address(str(place))


def open_store(place: str | Path, *, busy_timeout: float = 5.0, any_thread: bool = False) -> AnyStore:
    """Open a participant's store. Raises `StoreError`, `ConfigurationError` where the driver is missing."""
    if not is_address(place):
        from choreo.store.sqlite.store import SQLiteStore

        return SQLiteStore(place, busy_timeout=busy_timeout, any_thread=any_thread)
    _require_driver()
    from choreo.store.postgresql.store import PostgreSQLStore

    return PostgreSQLStore(str(place), busy_timeout=busy_timeout, any_thread=any_thread)


def open_reader(place: str) -> TableReader:
    """Open a store to read it, beside its worker. Raises `StoreError`, `ConfigurationError`."""
    if not is_address(place):
        from choreo.store.sqlite.reader import StoreReader

        return StoreReader(place)
    _require_driver()
    from choreo.store.postgresql.reader import PostgreSQLReader

    return PostgreSQLReader(place)


def migrate(place: str) -> Sequence[str]:
    """Make a store's tables, or bring them up to date; return the migrations that took, where known."""
    if not is_address(place):
        from choreo.store.sqlite.store import SQLiteStore

        SQLiteStore(place).close()
        return ()
    _require_driver()
    from choreo.store.postgresql.schema import migrate as migrate_tables
    from choreo.store.postgresql.session import connect

    with closing(connect(place, shown(place))) as connection:
        return migrate_tables(connection, shown(place))


def ddl() -> str:
    """Return the statements that make the tables of a store in PostgreSQL."""
    _require_driver()
    from choreo.store.postgresql.schema import ddl as statements

    return statements()


def _require_driver() -> None:
    try:
        import psycopg
    except ImportError as error:
        raise ConfigurationError(
            f"a store in PostgreSQL needs psycopg, which can't be used here: {error}",
            hint="pip install 'choreo-saga[postgresql]'",
        ) from None
    assert psycopg
