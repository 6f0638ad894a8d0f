"""Sessions of a service's own, one of each framework, on a PostgreSQL database."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import Any

import psycopg
import sqlalchemy
from django.db import connections, transaction
from psycopg.conninfo import conninfo_to_dict
from psycopg.rows import dict_row
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import Session
from sqlalchemy.pool import NullPool

from tests.client.sessions import Opened, Script, Way, scoped


def _spelled(execute: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function that takes ``?`` for a value, as the scripts have it."""
    return lambda sql, *values: execute(sql.replace("?", "%s"), values or None)


def by_psycopg(address: str, script: Script) -> None:
    """The driver begins a transaction at the first statement."""
    with psycopg.connect(address) as connection:
        script(Opened(connection, _spelled(connection.execute), lambda: _savepoint(connection)))


def by_psycopg_begun(address: str, script: Script) -> None:
    """The service begins it by itself, and has factories of its own, which take other placeholders."""
    with closing(psycopg.connect(address, autocommit=True, row_factory=dict_row)) as connection:
        connection.cursor_factory = psycopg.RawCursor

        def execute(sql: str, *values: object) -> None:
            parts = sql.split("?")
            numbered = (f"{part}${number}" for number, part in enumerate(parts[:-1], 1))
            connection.execute(f"{''.join(numbered)}{parts[-1]}".encode(), values)

        with connection.transaction():
            script(Opened(connection, execute, connection.transaction))


@contextmanager
def _savepoint(connection: psycopg.Connection) -> Iterator[None]:
    connection.execute("savepoint mine")
    try:
        yield
    except BaseException:
        connection.execute("rollback to mine")
        raise
    finally:
        connection.execute("release mine")


def url_of(address: str, driver: str = "psycopg") -> str:
    return address.replace("postgresql://", f"postgresql+{driver}://")


@contextmanager
def engine_on(address: str, **options: Any) -> Iterator[sqlalchemy.Engine]:
    engine = sqlalchemy.create_engine(url_of(address), poolclass=NullPool, **options)
    try:
        yield engine
    finally:
        engine.dispose()


def by_session(address: str, script: Script) -> None:
    with engine_on(address) as engine, Session(engine) as session, session.begin():
        script(_of_session(session))


def by_serializable_session(address: str, script: Script) -> None:
    """What it reads is of its first statement."""
    with (
        engine_on(address, isolation_level="SERIALIZABLE") as engine,
        Session(engine) as session,
        session.begin(),
    ):
        script(_of_session(session))


def by_scoped_session(address: str, script: Script) -> None:
    with engine_on(address) as engine, scoped(engine) as session:
        script(_of_session(session))


def by_connection(address: str, script: Script) -> None:
    with engine_on(address) as engine, engine.connect() as connection:
        execute = connection.exec_driver_sql
        script(Opened(connection, _spelled(execute), connection.begin_nested))
        connection.commit()


def by_async_session(address: str, script: Script) -> None:
    async def run() -> None:
        engine = create_async_engine(url_of(address), poolclass=NullPool)
        try:
            async with AsyncSession(engine) as session, session.begin():
                await session.run_sync(lambda inner: script(_of_session(inner)))
        finally:
            await engine.dispose()

    asyncio.run(run())


def _of_session(session: Any) -> Opened:
    def execute(sql: str, values: Any) -> Any:
        return session.connection().exec_driver_sql(sql, values)

    return Opened(session, _spelled(execute), session.begin_nested)


def by_django(address: str, script: Script) -> None:
    with django_on(address) as alias, transaction.atomic(using=alias):
        script(_of_django(alias))


def by_django_server_side(address: str, script: Script) -> None:
    """Values are bound by the server."""
    with django_on(address, server_side_binding=True) as alias, transaction.atomic(using=alias):
        script(_of_django(alias)._replace(within=connections[alias]))


def _of_django(alias: str) -> Opened:
    def execute(sql: str, values: Any) -> Any:
        return connections[alias].cursor().execute(sql, values)

    return Opened(alias, _spelled(execute), lambda: transaction.atomic(using=alias))


@contextmanager
def django_on(address: str, **options: Any) -> Iterator[str]:
    """Configure Django with one database, whose alias is yielded, for this thread."""
    alias = f"{address}-{len(options)}"
    if alias not in connections.settings:
        given = conninfo_to_dict(address)
        database = {
            "ENGINE": "django.db.backends.postgresql",
            "NAME": given["dbname"],
            "USER": given["user"],
            "HOST": given["host"],
            "PORT": given["port"],
            "OPTIONS": options,
        }
        made = connections.configure_settings({"default": {}, alias: database})
        connections.settings[alias] = made[alias]
    try:
        yield alias
    finally:
        connections[alias].close()


WAYS: dict[str, Way] = {
    "psycopg": by_psycopg,
    "psycopg begun": by_psycopg_begun,
    "Session": by_session,
    "serializable Session": by_serializable_session,
    "scoped_session": by_scoped_session,
    "Connection": by_connection,
    "AsyncSession": by_async_session,
    "Django": by_django,
    "Django server-side": by_django_server_side,
}
