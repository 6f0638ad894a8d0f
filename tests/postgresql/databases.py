"""Databases for tests on the session's PostgreSQL server, which is started by the first that asks."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import psycopg

from choreo.store.postgresql.schema import MIGRATIONS, migrate
from tests.broker.shared import Service, shared
from tests.postgresql.server import Server


class _Removed:
    """A server whose files go with it."""

    def __init__(self, server: Server) -> None:
        self._server = server

    def stop(self) -> None:
        self._server.remove()


@contextmanager
def session_server(folder: Path) -> Iterator[str]:
    """Return the address of a database on the session's server: ``CHOREO_TEST_POSTGRESQL``, or our own."""
    if given := os.environ.get("CHOREO_TEST_POSTGRESQL"):
        yield given
        return
    with shared(folder, _start) as address:
        yield address


def _start(_folder: Path) -> tuple[str, Service]:
    server = Server()
    try:
        server.start()
    except BaseException:
        server.remove()
        raise
    return server.address("postgres"), _Removed(server)


def on(address: str, database: str) -> str:
    """Return the address of another database on the same server."""
    return urlunsplit(urlsplit(address)._replace(path=f"/{database}"))


@contextmanager
def new_database(server: str, *, options: str = "") -> Iterator[str]:
    """Return the address of a new and empty database, which is dropped afterwards."""
    name = f"choreo_{uuid4().hex[:12]}"
    with closing(psycopg.connect(server, autocommit=True)) as connection:
        connection.execute(f"CREATE DATABASE {name} {options}".encode())
        try:
            yield on(server, name)
        finally:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


_TEMPLATE = f"choreo_template_{MIGRATIONS[-1][0][:4]}"


def made_from_template(server: str, name: str) -> None:
    """Make a database with the tables of a new store, unless it is there."""
    with closing(psycopg.connect(server, autocommit=True)) as connection:
        # One at a time: a template can't be copied while it is made, nor a name be taken twice.
        connection.execute("SELECT pg_advisory_lock(4711)")
        there = {each for (each,) in connection.execute("SELECT datname FROM pg_database").fetchall()}
        if _TEMPLATE not in there:
            connection.execute(f"CREATE DATABASE {_TEMPLATE}".encode())
            with closing(psycopg.connect(on(server, _TEMPLATE), autocommit=True)) as template:
                migrate(template, "test")
        if name in there:
            return
        connection.execute(f"CREATE DATABASE {name} TEMPLATE {_TEMPLATE}".encode())
    with closing(psycopg.connect(on(server, name), autocommit=True)) as made:
        made.execute("UPDATE choreo.store SET store_id = replace(gen_random_uuid()::text, '-', '')")


_TABLES = (
    *("saga_log", "outbox", "schedule", "positions", "dead_letters", "releases", "topics", "requests"),
    "sagas_in_flight",
)
# Without its triggers, of which one keeps the saga log.
_EMPTY = f"""
SET session_replication_role = replica;
TRUNCATE {", ".join(f"choreo.{table}" for table in _TABLES)} RESTART IDENTITY;
TRUNCATE choreo.store;
INSERT INTO choreo.store (id, store_id) VALUES (1, replace(gen_random_uuid()::text, '-', ''));
DROP SCHEMA public CASCADE; CREATE SCHEMA public
"""


def empty(address: str) -> str:
    """Make the tables of a new store in a database, and nothing else."""
    with closing(psycopg.connect(address, autocommit=True)) as connection:
        if not migrate(connection, "test"):
            connection.execute(_EMPTY.encode())
    return address
