"""Starting and cancelling sagas in a session of the service's own, on a file of SQLite's."""

# ruff: noqa: SIM117 (what raises is the leaving of a block, so the block is longer than a statement)

from __future__ import annotations

import asyncio
import os
import sqlite3
import subprocess
import sys
import threading
import weakref
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy
from django.db import connections, transaction
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import Session
from sqlite_utils import Database

from choreo import Context, Participant, connect
from choreo.client.connection import StoreConnection
from choreo.errors import ChoreoError, ConfigurationError, NestedTransaction, StoreError, StoreMismatch
from choreo.store.sqlite.joined import SQLiteJoined
from choreo.testing import Harness
from examples.orders.contract import OrderCreated
from examples.orders.inventory import inventory
from examples.orders.orders import orders
from tests.client import sessions
from tests.client.places import KINDS
from tests.client.sessions import WAYS, Opened, Way
from tests.worker.conftest import Rigs
from tests.worker.services import Script, agency, hotel
from tests.worker.trip import TripCancelled, TripRequested


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "shop.db"


@pytest.fixture
def shop(path: Path) -> Iterator[Participant]:
    participant = agency()
    with connect(participant, path).open(), closing(sqlite3.connect(path)) as other:
        other.execute("create table wishes (id text)")
        yield participant


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> Way:
    """One of each kind of framework, where the others make no difference."""
    return WAYS[request.param]


def start(shop: Participant, opened: Opened, saga_id: str) -> None:
    opened.execute("insert into wishes values (?)", saga_id)
    with shop.transaction(within=opened.within) as tx:
        tx.start(TripRequested("t"), saga_id)


def wishes(path: Path) -> list[str]:
    """Return the service's own rows."""
    with closing(sqlite3.connect(path)) as other:
        return [each for (each,) in other.execute("select id from wishes order by rowid")]


def outbox(path: Path) -> list[str]:
    with closing(sqlite3.connect(path)) as other:
        return [each for (each,) in other.execute("select saga_id from outbox order by seq")]


def known(path: Path) -> list[str]:
    with closing(sqlite3.connect(path)) as other:
        return [each for (each,) in other.execute("select saga_id from saga_log order by id")]


def check_same(path: Path, *expected: str) -> None:
    """What is started is what the service has written down."""
    assert wishes(path) == outbox(path) == known(path) == list(expected)


def check_ended(shop: Participant, connection: Any) -> None:
    """Nothing is started through a connection of a driver's whose transaction, or block, has ended."""
    with shop.transaction(within=connection) as tx:
        tx.start(TripRequested("t"), "s1")
        for end in (connection.commit, connection.rollback):
            end()
            with pytest.raises(StoreError, match="has ended"):
                tx.start(TripRequested("t"), "late")
    with pytest.raises(StoreError, match="has ended"):
        tx.start(TripRequested("t"), "late")


def test_what_has_ended_is_refused(shop: Participant, path: Path) -> None:
    """The block, and the transaction: SQLAlchemy's connection may be another request's by then."""
    with closing(sqlite3.connect(path)) as connection:
        check_ended(shop, connection)
    with sessions.engine_on(path) as engine, Session(engine) as session:
        with shop.transaction(within=session) as tx:
            session.commit()
            with Session(engine) as other:
                other.connection()
                with pytest.raises(StoreError, match="has ended"):
                    tx.start(TripRequested("t"), "late")
    with sessions.django_on(path) as alias:
        with transaction.atomic(using=alias), shop.transaction(within=alias) as tx:
            tx.start(TripRequested("t"), "s2")
        with pytest.raises(StoreError, match="has ended"):
            tx.start(TripRequested("t"), "late")
    assert known(path) == ["s1", "s2"]


def test_a_commit_in_another_thread_ends_it(shop: Participant, path: Path) -> None:
    """What was started by then is committed."""
    with closing(sqlite3.connect(path, check_same_thread=False)) as connection:
        with shop.transaction(within=connection) as tx, ThreadPoolExecutor(1) as elsewhere:
            tx.start(TripRequested("t"), "s1")
            elsewhere.submit(connection.commit).result(10)
            with pytest.raises(StoreError, match="has ended"):
                tx.start(TripRequested("t"), "late")
    assert known(path) == ["s1"]


def _in_autocommit(path: Path) -> Iterator[Any]:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        yield connection
    engine = sqlalchemy.create_engine(f"sqlite:///{path}", isolation_level="AUTOCOMMIT")
    with engine.connect() as inner, Session(engine) as session:
        yield inner
        yield session
    engine.dispose()
    with sessions.django_on(path) as alias:
        yield alias
        yield connections[alias]


def test_autocommit_is_refused(shop: Participant, path: Path) -> None:
    """Each row would be committed by itself."""
    count = 0
    for given in _in_autocommit(path):
        with (
            pytest.raises(StoreError, match=r"transaction is open|atomic\(\) block") as refused,
            shop.transaction(within=given),
        ):
            pass
        assert refused.value.hint
        count += 1
    assert count == 5
    check_same(path)


def test_a_session_elsewhere_is_refused(shop: Participant, path: Path, tmp_path: Path, kind: Way) -> None:
    """Another file, a copy of the store, another participant's store: each in words that name both."""
    copy, payments = tmp_path / "copy.db", hotel()
    with closing(sqlite3.connect(path)) as source, closing(sqlite3.connect(copy)) as target:
        source.backup(target)
    with connect(payments, tmp_path / "hotel.db").open():
        for other in (tmp_path / "new.db", copy, tmp_path / "hotel.db"):
            with pytest.raises(StoreMismatch, match=rf"{other.name}.*shop\.db"):
                kind(other, lambda opened: _join(shop, opened))
    check_same(path)


def test_a_database_in_memory_is_refused(shop: Participant) -> None:
    with (
        closing(sqlite3.connect(":memory:")) as connection,
        pytest.raises(StoreMismatch, match="in memory"),
        shop.transaction(within=connection),
    ):
        pass


def test_a_link_to_the_store_is_the_store(shop: Participant, path: Path, tmp_path: Path) -> None:
    """A path is as good as another one that leads to the same file."""
    (tmp_path / "link.db").symlink_to(path)
    for name in (tmp_path / "link.db", os.path.relpath(path), f"file:{path}"):
        with closing(sqlite3.connect(name, uri=True)) as connection, connection:
            start(shop, Opened(connection, lambda *_: None, lambda: connection), str(name))
    assert len(known(path)) == 3


def test_another_participants_store_is_refused(rig: Rigs, path: Path) -> None:
    """Its worker has bound it."""
    rigged = rig(hotel())
    shop = agency()
    with (
        connect(shop, rigged.path),
        closing(sqlite3.connect(rigged.path)) as connection,
        pytest.raises(StoreMismatch, match="'hotel', not of 'agency'"),
        shop.transaction(within=connection),
    ):
        pass


@pytest.mark.parametrize("exists", [True, False])
def test_a_database_without_tables_is_refused(tmp_path: Path, kind: Way, exists: bool) -> None:
    """They are not made in a session; `open` makes them."""
    shop, path = agency(), tmp_path / "shop.db"
    if exists:
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("create table wishes (id text)")
    with connect(shop, path) as connected:
        with pytest.raises(StoreError, match=r"no tables of choreo.*\(hint: .*open\(\)"):
            kind(path, lambda opened: _join(shop, opened))
        assert connected.open() is connected
        kind(path, lambda opened: _join(shop, opened))


def _join(shop: Participant, opened: Opened) -> None:
    with shop.transaction(within=opened.within):
        pass


_ODD: dict[str, tuple[list[str], str]] = {
    "commits that are not synced": (["pragma synchronous = normal"], "not synced.*synchronous = FULL"),
    "commits that are not synced at all": (["pragma synchronous = off"], "not synced"),
    "read-only": (["pragma query_only = on"], "can't be written"),
    "a table that hides the store's": (["create temp table outbox (id)"], "temporary table outbox"),
    "a view that hides the store's": (["create temp view saga_log as select 1"], "temporary table saga_log"),
}


@pytest.mark.parametrize("how", _ODD)
def test_a_connection_that_would_lose_what_it_starts_is_refused(
    shop: Participant, path: Path, how: str
) -> None:
    statements, said = _ODD[how]
    with closing(sqlite3.connect(path)) as connection:
        for each in statements:
            connection.execute(each)
        with pytest.raises(StoreError, match=said), shop.transaction(within=connection):
            pass
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
        with pytest.raises(StoreError, match="can't be written"), shop.transaction(within=connection):
            pass
    check_same(path)


def test_a_session_that_has_read_before_another_one_wrote_is_refused(shop: Participant, path: Path) -> None:
    """SQLite lets it write no more; the hint says how to avoid that."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("begin")
        connection.execute("select * from wishes").fetchall()
        with shop.transaction() as tx:
            tx.start(TripRequested("t"), "other")
        with pytest.raises(StoreError, match=r"has read before another.*BEGIN IMMEDIATE"):
            start(shop, Opened(connection, lambda *_: None, lambda: connection), "s1")


def test_another_writer_is_waited_for_as_the_session_waits(shop: Participant, path: Path) -> None:
    """By its own time limit."""
    with closing(sqlite3.connect(path, timeout=0)) as connection, ThreadPoolExecutor(1) as elsewhere:
        entered, over = threading.Event(), threading.Event()

        def hold() -> None:
            with shop.transaction():
                entered.set()
                over.wait(10)

        holding = elsewhere.submit(hold)
        assert entered.wait(10)
        with pytest.raises(StoreError, match="is locked"), shop.transaction(within=connection):
            pass
        over.set()
        holding.result(10)
        with shop.transaction(within=connection) as tx:
            tx.start(TripRequested("t"), "s1")
        connection.commit()
    assert known(path) == ["s1"]


@pytest.mark.parametrize("way", ["sqlite3", "plain Session", "Django"])
def test_what_choreo_looks_at_first_is_no_reading(
    shop: Participant, path: Path, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A transaction that has only begun still sees, and waits for, whoever writes before it."""
    lock = SQLiteJoined._lock

    def late(joined: SQLiteJoined) -> None:
        with closing(sqlite3.connect(path)) as other, other:
            other.execute("insert into wishes values ('other')")
        lock(joined)

    monkeypatch.setattr(SQLiteJoined, "_lock", late)
    WAYS[way](path, lambda opened: _join(shop, opened))
    assert wishes(path) == ["other"]


@pytest.mark.parametrize("given", [7, None, [], "no alias"], ids=repr)
def test_what_is_no_session_is_refused(shop: Participant, given: object) -> None:
    """None opens a transaction of choreo's own."""
    if given is None:
        with shop.transaction(within=given) as tx:
            tx.start(TripRequested("t"), "s1")
        return
    with pytest.raises(ConfigurationError, match="within=") as refused, shop.transaction(within=given):
        pass
    assert refused.value.hint


def test_an_engine_and_another_driver_are_refused(shop: Participant, path: Path) -> None:
    """The first has no transaction; the second can't be on this file."""

    class Connection:
        def cursor(self) -> None: ...
        def commit(self) -> None: ...

    with sessions.engine_on(path) as engine:
        with pytest.raises(ConfigurationError, match="within="), shop.transaction(within=engine):
            pass
    with (
        pytest.raises(StoreMismatch, match="Connection, but the store"),
        shop.transaction(within=Connection()),
    ):
        pass


def test_what_must_be_awaited_is_refused(shop: Participant, path: Path) -> None:
    """With the way that works."""
    session = AsyncSession(create_async_engine(f"sqlite+aiosqlite:///{path}"))
    with pytest.raises(ConfigurationError, match="run_sync"), shop.transaction(within=session):
        pass


def test_choreos_own_transaction_is_no_session(shop: Participant, rig: Rigs) -> None:
    """Neither that of ``transaction()``, nor a handler's."""
    with shop.transaction() as tx:
        for given in (tx.db, tx.db.conn):
            with pytest.raises(ChoreoError, match="within="), shop.transaction(within=given):
                pass
    said: list[ChoreoError] = []

    class Nested(Script):
        def __call__(self, ctx: Context) -> None:
            for given in (ctx.db.conn, Database(rigged.path).conn):
                try:
                    with rigged.participant.transaction(within=given):
                        pass
                except ChoreoError as error:
                    said.append(error)

    rigged = rig(hotel(Nested()))
    rigged.feed(TripRequested("t"))
    assert ["no session" in said[0].message, isinstance(said[1], NestedTransaction)] == [True, True]


def test_what_would_wait_for_itself_is_refused_at_once(shop: Participant, path: Path, kind: Way) -> None:
    """A transaction of choreo's own, another session, and `wait`; the session goes on."""

    def script(opened: Opened) -> None:
        with shop.transaction(within=opened.within) as outer:
            opened.execute("insert into wishes values ('s1')")
            with shop.transaction(within=opened.within) as tx:
                tx.start(TripRequested("t"), "s1")
            with pytest.raises(NestedTransaction), shop.transaction():
                pass
            with closing(sqlite3.connect(path)) as other:
                with pytest.raises(NestedTransaction), shop.transaction(within=other):
                    pass
            with pytest.raises(StoreError, match="would never see the end"):
                shop.wait("s1", timedelta(seconds=30))
            opened.execute("insert into wishes values ('s2')")
            outer.start(TripRequested("t"), "s2")

    kind(path, script)
    check_same(path, "s1", "s2")
    with shop.transaction():
        pass


def test_a_store_that_was_replaced_is_refused(shop: Participant, path: Path, tmp_path: Path) -> None:
    """As for a transaction of choreo's own."""
    with connect(agency(), tmp_path / "other.db").open():
        pass
    for each in ("", "-wal", "-shm"):
        path.with_name(path.name + each).unlink(missing_ok=True)
    (tmp_path / "other.db").rename(path)
    with (
        closing(sqlite3.connect(path)) as connection,
        pytest.raises(StoreMismatch, match="another store has taken the place"),
        shop.transaction(within=connection),
    ):
        pass


def test_tables_of_another_version_are_refused(shop: Participant, path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        with connection:
            connection.execute("delete from _sqlite_migrations where name like '%releases'")
        with (
            pytest.raises(StoreError, match=r"another version of choreo.*releases"),
            shop.transaction(within=connection),
        ):
            pass


def test_a_worker_publishes_what_a_session_has_started(rig: Rigs) -> None:
    """And the saga goes on, with the rows of its own, one chain."""
    rigged = rig(agency())
    with closing(sqlite3.connect(rigged.path)) as connection, connection:
        with rigged.participant.transaction(within=connection) as tx:
            tx.start(TripRequested("t"), "s1")
            tx.cancel("s1", TripCancelled("t"))
    rigged.settle()
    assert rigged.published() == [TripRequested("t"), TripCancelled("t")]


def test_a_service_that_joins_is_tested_in_a_harness(tmp_path: Path) -> None:
    """On databases in files: the session is on that of the participant."""
    order = OrderCreated("o-1", "ada", "pear", 50, 100, "12 Elm Street")
    with Harness([orders, inventory], folder=tmp_path) as harness:
        with closing(sqlite3.connect(tmp_path / "orders.db")) as connection, connection:
            with orders.transaction(within=connection) as tx:
                tx.start(order, "o-1")
        harness.run()
        assert harness.state("o-1") == "failed"
    with Harness([orders, inventory]), closing(sqlite3.connect(":memory:")) as connection:
        with pytest.raises(StoreError, match="folder="), orders.transaction(within=connection):
            pass


_FORKS = """
import os, sqlite3, sys, choreo
from tests.worker.services import agency
from tests.worker.trip import TripRequested
shop, path = agency(), sys.argv[1]
connection = sqlite3.connect(path, check_same_thread=False)
def said(use):
    try:
        use()
    except choreo.ChoreoError as error:
        return "fork" in str(error) and "spawn" in str(error)
def another():
    with shop.transaction(within=connection) as tx:
        tx.start(TripRequested("t"), "child")
def own():
    with shop.transaction() as tx:
        tx.start(TripRequested("t"), "child")
choreo.connect(shop, path).open()
with shop.transaction(within=connection) as tx:
    tx.start(TripRequested("t"), "s1")
    pid = os.fork()
    if not pid:
        uses = [lambda: tx.start(TripRequested("t"), "child"), another, own]
        os._exit(0 if [said(each) for each in uses] == [True] * 3 else 1)
    assert os.waitpid(pid, 0)[1] == 0
    tx.start(TripRequested("t"), "s2")
connection.commit()
pid = os.fork()
if not pid:
    own()
    os._exit(0)
assert os.waitpid(pid, 0)[1] == 0
"""


def test_a_session_belongs_to_the_process_that_joined_it(tmp_path: Path) -> None:
    """A child is refused it, and the store with it: SQLite would lose what it commits."""
    path = tmp_path / "shop.db"
    done = subprocess.run(
        [sys.executable, "-c", _FORKS, str(path)], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    assert known(path)[:2] == ["s1", "s2"]


def test_nothing_is_kept_of_a_session(shop: Participant, path: Path) -> None:
    """Its factories are as they were, and its connection ends with its last reference."""

    class Watched(sqlite3.Connection):
        pass

    connection = sqlite3.connect(path, factory=Watched)
    connection.row_factory, connection.text_factory = sqlite3.Row, bytes
    with connection, shop.transaction(within=connection) as tx:
        tx.start(TripRequested("t"), "s1")
    assert connection.row_factory is sqlite3.Row
    assert connection.text_factory is bytes
    connection.close()
    left = weakref.ref(connection)
    del connection, tx
    assert left() is None


def test_a_connection_serves_many_threads(shop: Participant, path: Path) -> None:
    """Each with a session of its own."""
    with sessions.engine_on(path) as engine, ThreadPoolExecutor(8) as threads:

        def one(number: int) -> None:
            with Session(engine) as session, session.begin():
                start(shop, sessions._of_session(session), f"s{number}")

        list(threads.map(one, range(24)))
    assert sorted(wishes(path)) == sorted(outbox(path)) == sorted(f"s{number}" for number in range(24))
    assert isinstance(shop.connection, StoreConnection)


def test_a_request_that_is_cancelled_at_any_await_leaves_all_or_nothing(
    shop: Participant, path: Path
) -> None:
    """Of an asynchronous session: each statement is awaited, below the plain code."""

    async def run() -> None:
        engine = create_async_engine(f"sqlite+aiosqlite:///{path}")
        sessions.begin_at_once(engine.sync_engine)

        async def request(number: int) -> None:
            async with AsyncSession(engine) as session, session.begin():
                await session.run_sync(lambda inner: start(shop, sessions._of_session(inner), f"s{number}"))

        try:
            for steps in range(0, 60, 3):
                task = asyncio.create_task(request(steps))
                for _ in range(steps):
                    await asyncio.sleep(0.0002)
                task.cancel()
                await asyncio.wait([task])
        finally:
            await engine.dispose()

    asyncio.run(run())
    check_same(path, *wishes(path))
    with shop.transaction():
        pass
