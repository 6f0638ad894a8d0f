"""What `choreo.store.opening` opens where an address names a PostgreSQL database."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing

from choreo.store.postgresql.errors import shown
from choreo.store.postgresql.pool import PostgreSQLPool
from choreo.store.postgresql.reader import PostgreSQLReader
from choreo.store.postgresql.schema import ddl, migrate
from choreo.store.postgresql.session import connect
from choreo.store.postgresql.store import PostgreSQLStore

__all__ = ["Reader", "Store", "Stores", "ddl", "migrate_database", "shown"]

Store = PostgreSQLStore
Stores = PostgreSQLPool
Reader = PostgreSQLReader


def migrate_database(address: str) -> Sequence[str]:
    """Make the tables of a store, or bring them up to date; return the migrations that took."""
    with closing(connect(address, shown(address))) as connection:
        return migrate(connection, shown(address))
