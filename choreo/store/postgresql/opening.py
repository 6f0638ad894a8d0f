"""What `choreo.store.opening` opens where an address names a PostgreSQL database."""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager

import psycopg

from choreo.store.postgresql.condition import database_condition
from choreo.store.postgresql.errors import shown, store_error
from choreo.store.postgresql.pool import PostgreSQLPool
from choreo.store.postgresql.reader import PostgreSQLReader
from choreo.store.postgresql.schema import ddl, migrate
from choreo.store.postgresql.session import connect
from choreo.store.postgresql.store import PostgreSQLStore

__all__ = ["Reader", "Store", "Stores", "condition", "ddl", "migrate_database", "scratch", "shown"]

Store = PostgreSQLStore
Stores = PostgreSQLPool
Reader = PostgreSQLReader
condition = database_condition


def migrate_database(address: str) -> Sequence[str]:
    """Make the tables of a store, or bring them up to date; return the migrations that took."""
    with closing(connect(address, shown(address))) as connection:
        return migrate(connection, shown(address))


@contextmanager
def scratch(address: str, name: str) -> Iterator[str]:
    """Make a new database with a store's tables on a server, and drop it after the block."""
    database = f"choreo_{name}_{secrets.token_hex(4)}".replace("-", "_")
    own = re.sub(r"^(\w+://[^/?]*)(/[^?]*)?", rf"\1/{database}", address)
    _execute(address, f"CREATE DATABASE {database} ENCODING 'UTF8' TEMPLATE template0")
    try:
        migrate_database(own)
        yield own
    finally:
        _execute(address, f"DROP DATABASE {database} WITH (FORCE)")


def _execute(address: str, sql: str) -> None:
    with closing(connect(address, shown(address))) as connection:
        try:
            connection.execute(sql.encode())
        except psycopg.Error as error:
            raise store_error(shown(address), error) from error
