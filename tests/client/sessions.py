"""Sessions of a service's own, one of each framework, on the file of a store; a script runs inside of one."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import django
import sqlalchemy
from django.conf import settings
from django.db import connections, transaction
from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import Session, scoped_session, sessionmaker


class Opened(NamedTuple):
    """What a script may do in the transaction that is open: ``within`` is what choreo is given.

    Leaving a ``savepoint`` by an exception rolls back to it.
    """

    within: Any
    execute: Callable[..., Any]
    savepoint: Callable[[], AbstractContextManager[Any]]


Script = Callable[[Opened], None]
Way = Callable[[Any, Script], None]
"""Runs a script in a transaction that is committed at its end, and rolled back where it raises."""


class Undone(Exception):
    """Raised to leave a transaction, or a savepoint, so that it is rolled back."""


def by_sqlite3(path: Path, script: Script) -> None:
    """The driver begins a transaction at the first write."""
    with closing(sqlite3.connect(path)) as connection, connection:
        script(_raw(connection, connection))


def by_sqlite3_begun(path: Path, script: Script) -> None:
    """The service begins it by itself, and has factories of its own."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.row_factory = lambda cursor, row: {name[0]: row for name in cursor.description}
        connection.text_factory = bytes
        with connection:
            connection.execute("begin immediate")
            script(_raw(connection, connection))


def _raw(within: Any, connection: sqlite3.Connection) -> Opened:
    @contextmanager
    def savepoint() -> Iterator[None]:
        connection.execute("savepoint mine")
        try:
            yield
        except BaseException:
            connection.execute("rollback to mine")
            raise
        finally:
            connection.execute("release mine")

    return Opened(within, lambda sql, *values: connection.execute(sql, values), savepoint)


@contextmanager
def engine_on(path: Path) -> Iterator[sqlalchemy.Engine]:
    """Make an engine, whose connections begin as SQLAlchemy's documentation recommends for savepoints."""
    engine = sqlalchemy.create_engine(f"sqlite:///{path}")
    begin_at_once(engine)
    try:
        yield engine
    finally:
        engine.dispose()


def begin_at_once(engine: sqlalchemy.Engine) -> None:
    @event.listens_for(engine, "connect")
    def connected(connection: Any, _record: Any) -> None:
        connection.isolation_level = None

    @event.listens_for(engine, "begin")
    def began(connection: sqlalchemy.Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")


def by_session(path: Path, script: Script) -> None:
    with engine_on(path) as engine, Session(engine) as session, session.begin():
        script(_of_session(session))


def by_scoped_session(path: Path, script: Script) -> None:
    with engine_on(path) as engine, scoped(engine) as session:
        script(_of_session(session))


@contextmanager
def scoped(engine: sqlalchemy.Engine) -> Iterator[Any]:
    """Open the session of this thread, which is committed at the end."""
    registry = scoped_session(sessionmaker(engine))
    try:
        yield registry
        registry.commit()
    finally:
        registry.remove()


def by_plain_session(path: Path, script: Script) -> None:
    """SQLAlchemy as it is: it begins at the first write, and may be told to commit as it goes."""
    engine = sqlalchemy.create_engine(f"sqlite:///{path}")
    try:
        with Session(engine) as session:
            script(_of_session(session))
            session.commit()
    finally:
        engine.dispose()


def by_connection(path: Path, script: Script) -> None:
    with engine_on(path) as engine, engine.connect() as connection:
        script(
            Opened(
                connection,
                lambda sql, *values: connection.exec_driver_sql(sql, values),
                connection.begin_nested,
            )
        )
        connection.commit()


def by_async_session(path: Path, script: Script) -> None:
    async def run() -> None:
        engine = create_async_engine(f"sqlite+aiosqlite:///{path}")
        begin_at_once(engine.sync_engine)
        try:
            async with AsyncSession(engine) as session, session.begin():
                await session.run_sync(lambda inner: script(_of_session(inner)))
        finally:
            await engine.dispose()

    asyncio.run(run())


def _of_session(session: Any) -> Opened:
    return Opened(
        session,
        lambda sql, *values: session.connection().exec_driver_sql(sql, values),
        session.begin_nested,
    )


def by_django(path: Path, script: Script) -> None:
    with django_on(path) as alias, transaction.atomic(using=alias):
        script(_of_django(alias))


def by_django_immediate(path: Path, script: Script) -> None:
    with django_on(path, transaction_mode="IMMEDIATE") as alias, transaction.atomic(using=alias):
        script(_of_django(alias)._replace(within=connections[alias]))


def _of_django(alias: str) -> Opened:
    return Opened(
        alias,
        lambda sql, *values: connections[alias].cursor().execute(sql.replace("?", "%s"), values),
        lambda: transaction.atomic(using=alias),
    )


@contextmanager
def django_on(path: Path, **options: Any) -> Iterator[str]:
    """Configure Django with one database, whose alias is yielded, for this thread."""
    alias = f"{path}-{len(options)}"
    if alias not in connections.settings:
        database = {"ENGINE": "django.db.backends.sqlite3", "NAME": str(path), "OPTIONS": options}
        made = connections.configure_settings({"default": {}, alias: database})
        connections.settings[alias] = made[alias]
    try:
        yield alias
    finally:
        connections[alias].close()


settings.configure(DATABASES={})
django.setup()

WAYS: dict[str, Way] = {
    "sqlite3": by_sqlite3,
    "sqlite3 begun": by_sqlite3_begun,
    "Session": by_session,
    "plain Session": by_plain_session,
    "scoped_session": by_scoped_session,
    "Connection": by_connection,
    "AsyncSession": by_async_session,
    "Django": by_django,
    "Django immediate": by_django_immediate,
}
