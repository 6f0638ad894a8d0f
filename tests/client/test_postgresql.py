"""A participant whose store is in PostgreSQL, in a process other than its worker."""

# ruff: noqa: PT012 (what raises is the leaving of a block, so the block is longer than a statement)

from __future__ import annotations

import asyncio
import gc
import random
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, suppress
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest

from choreo import Participant, connect
from choreo.audit.verification import Verification, all_sagas
from choreo.errors import NestedTransaction, StoreError, StoreMismatch, StoreUnavailable, TransactionControl
from choreo.store.postgresql import pool as pools
from choreo.store.postgresql import schema
from choreo.store.postgresql.store import PostgreSQLStore
from tests.client.sessions import Undone
from tests.postgresql.databases import new_database
from tests.worker.conftest import Rigs
from tests.worker.rig import Rig
from tests.worker.services import agency
from tests.worker.trip import FlightBooked, HotelBooked, TripBooked, TripCancelled, TripRequested

LONG = timedelta(seconds=30)


@pytest.fixture
def shop(empty_store: str) -> Iterator[Participant]:
    participant = agency()
    with connect(participant, empty_store):
        yield participant


@pytest.fixture
def worker(rig: Rigs, empty_store: str) -> Rig:
    """Return the agency's worker, on another connection."""
    rigged = rig(agency(), opened=False)
    rigged.path = empty_store  # type: ignore[assignment]
    rigged.open()
    return rigged


def start(shop: Participant, *saga_ids: str) -> None:
    with shop.transaction() as tx:
        for saga_id in saga_ids:
            tx.start(TripRequested("t"), saga_id)


def test_a_saga_from_its_start_to_its_end(shop: Participant, worker: Rig) -> None:
    """What is asked for is known at once, and in the topic when the worker has taken it up."""
    assert shop.status("s1") is None
    start(shop, "s1")
    start(shop, "s1")
    status = shop.status("s1")
    assert status is not None
    assert status.state == "started"
    with shop.transaction() as tx:
        tx.cancel("s1", TripCancelled("t"))
    status = shop.status("s1")
    assert status is not None
    assert status.cancellation == "requested"
    assert worker.published() == []
    worker.settle()
    assert worker.published() == [TripRequested("t"), TripCancelled("t")]
    start(shop, "s1")
    start(shop, "s2")
    worker.settle()
    assert len(worker.published()) == 2
    worker.feed(HotelBooked("t"), FlightBooked("t"), TripBooked("t"), saga_id="s2")
    ended = shop.wait("s2", LONG)
    assert ended is not None
    assert ended.state == "completed"
    assert asyncio.run(shop.wait_async("s2", LONG)) == ended
    check_chains(worker)


def check_chains(worker: Rig) -> None:
    log = worker.store.saga_log
    chains = Verification(log)
    assert [found for saga in all_sagas(log) if (found := chains.check(saga))] == []


def test_two_hundred_transactions_at_once(shop: Participant, worker: Rig, empty_store: str) -> None:
    """Half are undone, and numbers are committed in any order: what is committed is published, each once."""
    chance = random.Random(7)
    expected: dict[str, list[str]] = {}
    with ExitStack() as all_of_them:
        opened = []
        for number in range(200):
            connection = all_of_them.enter_context(closing(psycopg.connect(empty_store)))
            saga_id, is_cancelled = f"s{number % 150}", chance.random() < 0.3
            with shop.transaction(within=connection) as tx:
                tx.start(TripRequested("t"), saga_id)
                if is_cancelled:
                    tx.cancel(saga_id, TripCancelled("t"))
            opened.append((connection, saga_id, is_cancelled))
        chance.shuffle(opened)
        for number, (connection, saga_id, is_cancelled) in enumerate(opened):
            if number % 2:
                connection.rollback()
                continue
            connection.commit()
            found = expected.setdefault(saga_id, ["start"])
            if is_cancelled and "cancel" not in found:
                found.append("cancel")
            if number % 20 == 0:
                worker.settle()
    worker.settle()
    published = {
        saga_id: [
            "start" if isinstance(each, TripRequested) else "cancel" for each in worker.published(saga_id)
        ]
        for saga_id in {f"s{number}" for number in range(200)}
    }
    assert {saga_id: events for saga_id, events in published.items() if events} == expected
    assert len(worker.records()) == sum(map(len, expected.values()))
    check_chains(worker)


def test_nobody_waits_for_anybody(shop: Participant, worker: Rig, empty_store: str) -> None:
    """Not the worker for a transaction that goes on, nor one transaction for another one."""
    inside, over = threading.Event(), threading.Event()

    def slow() -> None:
        with shop.transaction() as tx:
            tx.start(TripRequested("t"), "slow")
            inside.set()
            assert over.wait(30)

    with ThreadPoolExecutor(1) as threads, psycopg.connect(empty_store) as connection:
        going_on = threads.submit(slow)
        assert inside.wait(30)
        with shop.transaction(within=connection) as joined:
            joined.start(TripRequested("t"), "slow")
            start(shop, "slow", "other")
            worker.settle()
            assert worker.published("slow") == worker.published("other") == [TripRequested("t")]
        over.set()
        going_on.result()
    worker.settle()
    assert len(worker.records()) == 2


def test_tables_are_not_made_by_a_web_process(postgresql: str) -> None:
    """It says who does; it works as soon as they are there, also those that a newer choreo adds."""
    shop = agency()
    with new_database(postgresql) as address, connect(shop, address) as connected:
        with pytest.raises(StoreMismatch, match=r"has no tables of choreo's \(hint: .*choreo store migrate"):
            connected.open()
        with (
            psycopg.connect(address) as connection,
            pytest.raises(StoreMismatch, match="has no tables of choreo's"),
            shop.transaction(within=connection),
        ):
            pass
        with closing(psycopg.connect(address, autocommit=True)) as admin:
            assert admin.execute("select to_regnamespace('choreo')").fetchone() == (None,)
            schema.migrate(admin, "test")
            start(shop, "s1")
            admin.execute("delete from choreo.migrations where name = '0002_requests'")
            with (
                psycopg.connect(address) as connection,
                pytest.raises(StoreError, match=r"another version of choreo \(0002_requests\)"),
                shop.transaction(within=connection),
            ):
                pass


def test_another_participants_store_is_refused(shop: Participant, empty_store: str, tmp_path: Path) -> None:
    """On either database, for a transaction of its own and for one in a session."""
    with closing(PostgreSQLStore(empty_store)) as store:
        store.bind("cluster", "payments")
    with pytest.raises(StoreMismatch, match="is the store of 'payments', not of 'agency'"):
        start(shop, "s1")
    with (
        closing(psycopg.connect(empty_store)) as connection,
        pytest.raises(StoreMismatch, match="is the store of 'payments', not of 'agency'"),
        shop.transaction(within=connection),
    ):
        pass
    with connect(agency(), tmp_path / "agency.db") as connected, connected._stores.lend() as store:
        store.bind("cluster", "payments")
    with pytest.raises(StoreMismatch, match="is the store of 'payments', not of 'agency'"):
        connect(shop, tmp_path / "agency.db").open()


def test_a_transaction_of_choreos_own_is_undone_or_kept(shop: Participant, empty_store: str) -> None:
    """With what is written through its connection, which refuses to be committed."""
    with shop.transaction() as tx:
        tx.db.execute("create table wishes (id text)")
    for saga_id in ("s1", "s2"):
        with suppress(Undone), shop.transaction() as tx:
            tx.db.execute("insert into wishes values (%s)", [saga_id])
            tx.start(TripRequested("t"), saga_id)
            if saga_id == "s2":
                raise Undone
    with pytest.raises(TransactionControl, match="COMMIT was refused"), shop.transaction() as tx:
        tx.start(TripRequested("t"), "s3")
        tx.db.commit()
    with psycopg.connect(empty_store) as other:
        assert other.execute("select id from wishes").fetchall() == [("s1",)]
        assert other.execute("select saga_id from choreo.requests").fetchall() == [("s1",)]


def test_one_transaction_at_a_time(shop: Participant) -> None:
    """As on SQLite: one of choreo's own inside of another one is refused, and so is `wait`."""
    with shop.transaction() as tx:
        tx.start(TripRequested("t"), "s1")
        with pytest.raises(NestedTransaction), shop.transaction():
            pass
        with pytest.raises(StoreError, match="would never see the end"):
            shop.wait("s1", LONG)
        assert shop.status("s1") is not None
    assert shop.status("s1") is not None


def test_a_process_has_few_connections(shop: Participant, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many threads: they wait for each other, for a while."""
    seen = set()

    def one(number: int) -> None:
        with shop.transaction() as tx:
            seen.add(tx.db.info.backend_pid)
            tx.start(TripRequested("t"), f"s{number}")

    with ThreadPoolExecutor(40) as threads:
        list(threads.map(one, range(120)))
    assert len(seen) <= pools.MOST
    monkeypatch.setattr(pools, "_WAIT_SECONDS", 0.05)
    over = threading.Event()
    inside = threading.Semaphore(0)

    def hold() -> None:
        with shop.transaction():
            inside.release()
            assert over.wait(30)

    with ThreadPoolExecutor(pools.MOST) as threads:
        held = [threads.submit(hold) for _ in range(pools.MOST)]
        for _ in held:
            assert inside.acquire(timeout=30)
        with pytest.raises(StoreUnavailable, match=r"connections of this process .* are in use"):
            start(shop, "late")
        over.set()
        for each in held:
            each.result()
    start(shop, "late")


def test_connections_that_were_lost_are_opened_again(shop: Participant, empty_store: str) -> None:
    """By a transaction, and by a question; one that is lost inside of a transaction undoes that."""
    start(shop, "s1")
    with closing(psycopg.connect(empty_store, autocommit=True)) as admin:

        def cut() -> None:
            admin.execute(
                "select pg_terminate_backend(pid, 5000) from pg_stat_activity"
                " where pid <> pg_backend_pid() and datname = current_database()"
            )

        cut()
        start(shop, "s2")
        cut()
        assert shop.status("s2") is not None
        with pytest.raises(StoreUnavailable, match="was lost"), shop.transaction() as tx:
            cut()
            tx.start(TripRequested("t"), "s3")
        assert shop.status("s3") is None
        start(shop, "s3")


_FORKS = """
import gc, os, sys, warnings
import choreo
from tests.worker.services import agency
from tests.worker.trip import TripRequested
shop = agency()
def start(saga_id):
    with shop.transaction() as tx:
        tx.start(TripRequested("t"), saga_id)
        return tx.db.info.backend_pid
def forked(child, leave=os._exit):
    pid = os.fork()
    if not pid:
        code = 1
        try:
            child()
            code = 0
        finally:
            gc.collect()
            leave(code)
    return os.waitpid(pid, 0)[1]
def refused(use):
    try:
        use()
    except choreo.ChoreoError as error:
        assert "fork" in str(error) and "spawn" in str(error), error
    else:
        raise AssertionError("not refused")
choreo.connect(shop, sys.argv[1])
mine = start("before")
def child():
    assert start("c1") not in (mine, os.getpid())
for leave in (os._exit, sys.exit):
    assert forked(child, leave) == 0
assert start("after") == mine
with shop.transaction() as tx:
    tx.start(TripRequested("t"), "p1")
    def inside():
        refused(lambda: tx.start(TripRequested("t"), "lost"))
        refused(lambda: shop.status("before"))
    assert forked(inside) == 0
    tx.start(TripRequested("t"), "p2")
import psycopg
connection = psycopg.connect(sys.argv[1])
with shop.transaction(within=connection) as tx:
    tx.start(TripRequested("t"), "j1")
    assert forked(lambda: refused(lambda: tx.start(TripRequested("t"), "lost"))) == 0
    tx.start(TripRequested("t"), "j2")
connection.commit()
connection.close()
assert forked(lambda: start("c2")) == 0
assert shop.status("c2") is not None
"""


def test_a_forked_process_drops_what_it_inherits(empty_store: str) -> None:
    """It neither uses nor closes it, whichever way it ends: its parent goes on with the same connection."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-X", "dev", "-c", _FORKS, empty_store],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "Warning" not in done.stderr, done.stderr
    with psycopg.connect(empty_store) as connection:
        found = connection.execute("select distinct saga_id from choreo.requests").fetchall()
    assert {each for (each,) in found} == {"before", "c1", "after", "p1", "p2", "j1", "j2", "c2"}


def test_it_closes_what_it_has_opened(empty_store: str) -> None:
    """At the end of a lifespan, also what is lent; a second lifespan begins anew."""
    shop = agency()
    for _ in range(2):
        with connect(shop, empty_store).open():
            start(shop, "s1")
        with connect(shop, empty_store), shop.transaction() as tx:
            connection = tx.db
            shop.close()
        assert connection.closed
    connect(shop, empty_store).open()
    del shop, tx, connection
    gc.collect()
    with psycopg.connect(empty_store, autocommit=True) as admin:
        count = "select count(*) from pg_stat_activity where datname = current_database()"
        for _ in range(500):
            if admin.execute(count).fetchone() == (1,):
                return
            threading.Event().wait(0.01)
    raise AssertionError("a connection is left")
