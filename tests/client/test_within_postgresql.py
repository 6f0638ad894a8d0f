"""What a session on PostgreSQL may not be, and what becomes of it when it is refused."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
import pytest
import sqlalchemy
from psycopg.conninfo import make_conninfo
from psycopg.pq import TransactionStatus
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import Session

from choreo import Context, Participant, connect
from choreo.errors import ChoreoError, ConfigurationError, StoreError, StoreMismatch
from tests.client.postgresql_sessions import django_on, engine_on, url_of
from tests.client.test_within import check_ended
from tests.postgresql.databases import empty, new_database
from tests.worker.conftest import Rigs
from tests.worker.services import Script, agency, hotel
from tests.worker.trip import TripRequested


@pytest.fixture
def shop(empty_store: str) -> Iterator[Participant]:
    participant = agency()
    with connect(participant, empty_store):
        yield participant


@pytest.fixture
def connection(empty_store: str) -> Iterator[psycopg.Connection]:
    with closing(psycopg.connect(empty_store)) as opened:
        yield opened


def started(address: str) -> list[str]:
    with psycopg.connect(address) as other:
        return [row[0] for row in other.execute("select saga_id from choreo.requests order by id").fetchall()]


def refused(shop: Participant, within: Any, said: str, kind: type[ChoreoError] = StoreError) -> None:
    """It is refused in one line with a hint."""
    with pytest.raises(kind, match=said) as error, shop.transaction(within=within) as tx:
        tx.start(TripRequested("t"), "refused")
    assert error.value.hint
    assert "\n" not in str(error.value)


def test_autocommit_is_refused(shop: Participant, empty_store: str) -> None:
    """Of each framework; a transaction that is open all the same is joined."""
    with closing(psycopg.connect(empty_store, autocommit=True)) as plain:
        refused(shop, plain, "no transaction is open")
        plain.execute("begin")
        with shop.transaction(within=plain) as tx:
            tx.start(TripRequested("t"), "s1")
        plain.execute("commit")
    with engine_on(empty_store, isolation_level="AUTOCOMMIT") as engine:
        with engine.connect() as inner:
            refused(shop, inner, "no transaction is open")
        with Session(engine) as session:
            refused(shop, session, "no transaction is open")
    with django_on(empty_store) as alias:
        refused(shop, alias, r"no atomic\(\) block is open")
    assert started(empty_store) == ["s1"]


def test_a_session_on_another_database_is_refused(
    shop: Participant, empty_store: str, postgresql: str
) -> None:
    """One without a store, with another store, and with a copy of this one; its transaction goes on."""
    with closing(psycopg.connect(empty_store)) as own:
        store_id = own.execute("select store_id from choreo.store").fetchone()
    with new_database(postgresql) as other:
        for make in (lambda: None, lambda: empty(other)):
            make()
            with closing(psycopg.connect(other)) as connection:
                connection.execute("create table mine (id int)")
                refused(shop, connection, "the session's database", StoreMismatch)
                connection.execute("insert into mine values (1)")
        with closing(psycopg.connect(other)) as connection:
            connection.execute("update choreo.store set store_id = %s", store_id)
            refused(shop, connection, "in another one", StoreMismatch)


def test_a_file_of_sqlites_is_refused(shop: Participant, tmp_path: Path, empty_store: str) -> None:
    """And a session on PostgreSQL, where the store is a file."""
    import sqlite3

    with closing(sqlite3.connect(tmp_path / "shop.db")) as connection:
        refused(shop, connection, "another driver, sqlite3.Connection", ConfigurationError)
    other = agency()
    with connect(other, tmp_path / "shop.db").open(), closing(psycopg.connect(empty_store)) as connection:
        refused(other, connection, "but the store .* is an SQLite file", StoreMismatch)


def test_other_drivers_are_refused(shop: Participant, empty_store: str) -> None:
    """With asyncpg's other placeholders, bare or below SQLAlchemy; and a session of coroutines."""
    import asyncpg

    async def check() -> None:
        given = psycopg.conninfo.conninfo_to_dict(empty_store)
        bare = await asyncpg.connect(
            user=given["user"], database=given["dbname"], host=given["host"], port=int(given["port"])
        )
        refused(shop, bare, "within=", ConfigurationError)
        await bare.close()
        engine = create_async_engine(url_of(empty_store, "asyncpg"))
        async with AsyncSession(engine) as session:
            await session.run_sync(
                lambda inner: refused(shop, inner, "another driver, asyncpg.Connection", ConfigurationError)
            )
            refused(shop, session, "run_sync", ConfigurationError)
        await engine.dispose()
        async with await psycopg.AsyncConnection.connect(empty_store) as connection:
            refused(shop, connection, "within=", ConfigurationError)

    asyncio.run(check())


def test_a_transaction_that_has_failed_is_refused(
    shop: Participant, empty_store: str, connection: psycopg.Connection
) -> None:
    """Until it is rolled back; a savepoint around the statement that fails keeps it."""
    with pytest.raises(psycopg.Error), connection.transaction():
        connection.execute("nonsense")
    with shop.transaction(within=connection) as tx:
        tx.start(TripRequested("t"), "s1")
        with pytest.raises(psycopg.Error), connection.transaction():
            connection.execute("nonsense")
        tx.start(TripRequested("t"), "s2")
        with pytest.raises(psycopg.Error):
            connection.execute("nonsense")
        with pytest.raises(StoreError, match=r"has failed in the session's transaction.*savepoint"):
            tx.start(TripRequested("t"), "s3")
    refused(shop, connection, "has failed in the session's transaction")
    connection.commit()
    assert started(empty_store) == []
    with engine_on(empty_store) as engine, Session(engine) as session:
        with pytest.raises(sqlalchemy.exc.DBAPIError):
            session.execute(sqlalchemy.text("nonsense"))
        refused(shop, session, "has failed in the session's transaction")
        session.rollback()
        with shop.transaction(within=session) as tx:
            tx.start(TripRequested("t"), "s4")
        session.commit()
    assert started(empty_store) == ["s4"]


def test_what_has_ended_is_refused(
    shop: Participant, empty_store: str, connection: psycopg.Connection
) -> None:
    """The block, and the transaction: SQLAlchemy's connection may be another request's by then."""
    check_ended(shop, connection)
    with engine_on(empty_store) as engine, Session(engine) as session, shop.transaction(within=session) as tx:
        session.commit()
        session.execute(sqlalchemy.text("select 1"))
        with pytest.raises(StoreError, match="has ended"):
            tx.start(TripRequested("t"), "late")
    assert started(empty_store) == ["s1"]


def _reading_only(connection: psycopg.Connection) -> None:
    connection.read_only = True


def _in_a_pipeline(connection: psycopg.Connection) -> Any:
    return connection.pipeline()


def _lost(connection: psycopg.Connection) -> None:
    with (
        closing(psycopg.connect(connection.info.dsn, autocommit=True)) as admin,
    ):
        admin.execute("select pg_terminate_backend(%s, 5000)", [connection.info.backend_pid])


_ODD: dict[str, tuple[Callable[[psycopg.Connection], Any], str]] = {
    "one that only reads": (_reading_only, "only reads"),
    "a pipeline": (_in_a_pipeline, "is busy"),
    "a connection that was lost": (_lost, "was lost|is away"),
    "one that is closed": (lambda connection: connection.close(), "was lost"),
}


@pytest.mark.parametrize("how", _ODD)
def test_a_connection_that_can_not_write_is_refused(
    shop: Participant, empty_store: str, connection: psycopg.Connection, how: str
) -> None:
    make, said = _ODD[how]
    with ExitStack() as opened:
        made = make(connection)
        if made is not None:
            opened.enter_context(made)
        refused(shop, connection, said)
    assert started(empty_store) == []


@pytest.mark.parametrize(
    ("granted", "said"),
    [
        ("", "permission denied for schema choreo"),
        ("grant usage on schema choreo to {role}", "permission denied for table"),
        (
            "grant usage on schema choreo to {role}; grant select on all tables in schema choreo to {role}",
            "permission denied for table requests",
        ),
        (
            "grant usage on schema choreo to {role}; grant select on all tables in schema choreo to {role};"
            "grant insert on choreo.requests to {role}",
            "",
        ),
    ],
)
def test_a_role_needs_few_rights(shop: Participant, empty_store: str, granted: str, said: str) -> None:
    """It reads, and adds requests; without that it is refused, and its transaction goes on."""
    with closing(psycopg.connect(empty_store, autocommit=True)) as admin:
        role = f"guest_{uuid4().hex[:12]}"  # a role is of the whole server, which other tests use, too
        admin.execute(f"create role {role} login".encode())
        try:
            admin.execute(granted.format(role=role).encode())
            as_guest = make_conninfo(empty_store, user=role)
            with closing(psycopg.connect(as_guest)) as connection:
                if said:
                    refused(shop, connection, said)
                    assert connection.info.transaction_status is TransactionStatus.INTRANS
                else:
                    with shop.transaction(within=connection) as tx:
                        tx.start(TripRequested("t"), "s1")
                    connection.commit()
                    own = agency()
                    own.prepare = None  # it may make no tables
                    with connect(own, empty_store.replace("tester@", f"{role}@")):
                        with own.transaction() as tx:
                            tx.start(TripRequested("t"), "s2")
                        assert own.status("s1") is not None
                connection.execute("select 1")
        finally:
            admin.execute(f"drop owned by {role}; drop role {role}".encode())
    assert started(empty_store) == ([] if said else ["s1", "s2"])


def test_an_odd_connection_is_left_as_it_was(shop: Participant, empty_store: str) -> None:
    """Its factories, its encoding, its types of values, its settings."""
    with closing(psycopg.connect(empty_store, client_encoding="latin1")) as connection:
        connection.cursor_factory, connection.row_factory = psycopg.ClientCursor, psycopg.rows.dict_row
        connection.adapters.register_loader("text", psycopg.types.string.TextBinaryLoader)
        connection.execute("set search_path = pg_temp; create temp table requests (id int)")
        with shop.transaction(within=connection) as tx:
            tx.start(TripRequested("Zoë"), "Zoë")
            assert tx.db is connection
        with pytest.raises(StoreError, match="can't encode"), shop.transaction(within=connection) as tx:
            tx.start(TripRequested("t"), "\u20ac\u03a9")
        assert connection.cursor_factory is psycopg.ClientCursor
        assert connection.row_factory is psycopg.rows.dict_row
        connection.commit()
    assert started(empty_store) == ["Zoë"]


def test_choreos_own_transaction_is_no_session(
    shop: Participant, empty_store: str, rig: Rigs, connection: psycopg.Connection
) -> None:
    """Neither that of ``transaction()``, nor a handler's, which a session of its own would outlive."""
    with shop.transaction() as tx:
        refused(shop, tx.db, "choreo's own transaction")
    said: list[ChoreoError] = []

    class Nested(Script):
        def __call__(self, ctx: Context) -> None:
            for given in (ctx.db, connection):
                try:
                    with rigged.participant.transaction(within=given) as tx:
                        tx.start(TripRequested("t"), "nested")
                except ChoreoError as error:
                    said.append(error)

    rigged = rig(hotel(Nested()), opened=False)
    rigged.path = empty(empty_store)  # type: ignore[assignment]
    rigged.open()
    rigged.feed(TripRequested("t"))
    assert ["own transaction" in said[0].message, len(said)] == [True, 2]
    assert started(empty_store) == []
