"""PostgreSQL away under a worker, in each way: it waits, says so, loses nothing and repeats nothing.

Each on a real server of the module's own, which is restarted, cut off, filled and locked.
"""

from __future__ import annotations

import logging
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager, suppress
from functools import partial
from pathlib import Path

import psycopg
import pytest

from choreo import Retry
from choreo.errors import StoreError
from choreo.store import opening
from tests import stores
from tests.conftest import unavailable
from tests.postgresql.pooler import Pooler
from tests.postgresql.server import Server, ServerFailed, Unavailable
from tests.worker import rig as rigs
from tests.worker.conftest import Rigs
from tests.worker.rig import Rig
from tests.worker.services import SECOND, Script, hotel
from tests.worker.trip import HotelBooked, TripRequested

# In one process, which makes once what all of them use.
pytestmark = pytest.mark.xdist_group("outages")

SAGAS = 12
MOST = 12
"""The connections that the server takes."""


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    try:
        few = (f"max_connections={MOST}", "superuser_reserved_connections=0", "max_wal_senders=0")
        server = Server("synchronous_commit=on", *few)  # one that is stopped at once may lose nothing
        server.start()
    except (Unavailable, ServerFailed) as error:
        unavailable(error, "PostgreSQL")
    yield server
    server.remove()


@pytest.fixture(autouse=True)
def store_there(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put the rig's stores on that server, and wait for other writers briefly."""
    monkeypatch.setenv("STORE", "postgresql")
    monkeypatch.setenv("CHOREO_TEST_POSTGRESQL", server.address("postgres"))
    monkeypatch.delenv("CHOREO_TEST_POOLER", raising=False)  # it is before another server
    monkeypatch.setattr(rigs, "open_store", partial(stores.open_store, busy_timeout=0.05))


def admin(server: Server) -> psycopg.Connection:
    return psycopg.connect(server.address("postgres"), autocommit=True)


def cut(server: Server) -> None:
    """End everybody's session."""
    with admin(server) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
            " WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'"
        )


@contextmanager
def setting(server: Server, rig: Rig, what: str) -> Iterator[None]:
    """Set something for the new sessions of a store's database."""
    name = psycopg.conninfo.conninfo_to_dict(stores.address_of(rig.path))["dbname"]
    with admin(server) as connection:
        connection.execute(f"ALTER DATABASE {name} SET {what}".encode())
    cut(server)
    try:
        yield
    finally:
        with admin(server) as connection:
            connection.execute(f"ALTER DATABASE {name} RESET ALL".encode())
        cut(server)


Outage = Callable[[Server, Rig], AbstractContextManager[None]]


@contextmanager
def stopped(server: Server, rig: Rig, how: signal.Signals) -> Iterator[None]:
    server.stop(how)
    try:
        yield
    finally:
        server.start()


@contextmanager
def locked(server: Server, rig: Rig, table: str) -> Iterator[None]:
    """As a long migration locks a table: nobody reads it."""
    with closing(psycopg.connect(stores.address_of(rig.path))) as other:
        other.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE".encode())
        yield
        other.rollback()


@contextmanager
def full(server: Server, rig: Rig) -> Iterator[None]:
    """Others have all connections, and ours was lost."""
    cut(server)
    others = []
    with suppress(psycopg.OperationalError):
        while True:
            others.append(admin(server))
    try:
        yield
    finally:
        for each in others:
            each.close()


@contextmanager
def standby(server: Server, rig: Rig) -> Iterator[None]:
    """The server has become a standby, which can be read only, and is promoted later."""
    server.stop()
    (server.home / "data" / "standby.signal").touch()
    server.start()
    try:
        yield
    finally:
        with admin(server) as connection:
            connection.execute("SELECT pg_promote(true, 30)")


@contextmanager
def too_slow(server: Server, rig: Rig) -> Iterator[None]:
    """A statement of a handler waits for a lock longer than statement_timeout permits."""
    with setting(server, rig, "statement_timeout = 80"), locked(server, rig, "effects"):
        yield


OUTAGES: dict[str, Outage] = {
    "stopped fast": partial(stopped, how=signal.SIGINT),
    "stopped immediately": partial(stopped, how=signal.SIGQUIT),
    "standby": standby,
    "no connection left": full,
    "statement_timeout": too_slow,
    **{
        f"{table} locked": partial(locked, table=f"choreo.{table}")
        for table in ("store", "positions", "saga_log", "outbox")
    },
}


@pytest.mark.parametrize("outage", OUTAGES)
def test_a_worker_waits_while_postgresql_is_away(
    rig: Rigs, server: Server, outage: str, caplog: pytest.LogCaptureFixture
) -> None:
    """It is said once, and when it is over; nothing is lost and nothing done twice."""
    caplog.set_level(logging.INFO, "choreo.worker")
    shop = rig(hotel())
    for number in range(SAGAS):
        shop.append(TripRequested("t"), f"s{number}")
    with OUTAGES[outage](server, shop):
        for _ in range(4):
            shop.worker.turn()
        assert not shop.records_of("hotel")
    shop.settle()
    assert_done_once(shop)
    said = [record for record in caplog.records if "its store" in record.getMessage()]
    assert [record.levelname for record in said] == ["WARNING", "WARNING"]
    assert "tester" not in said[0].getMessage()


def assert_done_once(shop: Rig) -> None:
    """Every saga has had its effect, and its event was published, once."""
    sagas = [f"s{number}" for number in range(SAGAS)]
    assert [shop.effects(each) for each in sagas] == [["action"]] * SAGAS
    assert [shop.published(each) for each in sagas] == [[HotelBooked("t")]] * SAGAS
    assert not shop.letters()


def test_a_database_that_is_read_only_by_default_is_written(rig: Rigs, server: Server) -> None:
    """As managed servers set it: a turn says that it writes."""
    shop = rig(hotel())
    with setting(server, shop, "default_transaction_read_only = on"):
        shop.feed(TripRequested("t"))
    shop.settle()
    assert shop.effects("s1") == ["action"]


def test_a_session_that_is_cut_off_for_idling_in_a_turn_repeats_it(rig: Rigs, server: Server) -> None:
    """A handler that computes for too long; once it is faster, nothing is to be seen of it."""

    class Slow(Script):
        slow = 2

        def __call__(self, ctx: object) -> None:
            super().__call__(ctx)  # type: ignore[arg-type]
            if self.slow:
                self.slow -= 1
                time.sleep(0.3)

    book = Slow()
    shop = rig(hotel(book, retry=Retry(attempts=1, delay=SECOND)))
    with setting(server, shop, "idle_in_transaction_session_timeout = 100"):
        shop.restart()
        shop.feed(TripRequested("t"))
    shop.settle()
    assert shop.effects("s1") == ["action"]
    assert shop.published() == [HotelBooked("t")]
    assert [ctx.attempt for ctx in book.calls] == [1, 1, 1]


def test_a_store_that_is_locked_at_the_start_is_waited_for(server: Server, tmp_path: Path) -> None:
    """Also where nothing can be read of it."""
    address = stores.address_of(tmp_path / "shop.db")
    for table in ("choreo.store", "choreo.migrations"):
        with closing(psycopg.connect(address)) as other:
            other.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE".encode())
            with pytest.raises(StoreError, match="is locked"):
                opening.open_store(address, busy_timeout=0.05)
            timer = threading.Timer(0.2, other.rollback)
            timer.start()
            opening.open_store(address, busy_timeout=5).close()
            timer.join()


def test_what_is_locked_by_others_is_not_the_handlers_failure(rig: Rigs, server: Server) -> None:
    """Where the service's own lock_timeout cancels its statement; one that deals with it goes on."""

    class Careful(Script):
        def __call__(self, ctx: object) -> None:
            with suppress(psycopg.errors.LockNotAvailable), ctx.db.transaction():  # type: ignore[attr-defined]
                ctx.db.execute("lock table others in access exclusive mode nowait")  # type: ignore[attr-defined]
            super().__call__(ctx)  # type: ignore[arg-type]

    book = Careful()
    shop = rig(hotel(book))
    shop.store.db.execute("create table others (id int)")
    with setting(server, shop, "lock_timeout = 50"):
        shop.append(TripRequested("t"), "s0")
        with locked(server, shop, "others"):
            shop.settle()
        assert shop.published("s0") == [HotelBooked("t")]
        shop.append(TripRequested("t"), "s1")
        with locked(server, shop, "effects"):
            shop.worker.turn()
    shop.settle()
    assert shop.published("s1") == [HotelBooked("t")]
    assert [ctx.attempt for ctx in book.calls] == [1] * len(book.calls)
    assert len(book.calls) > 2


def test_a_worker_behind_a_pooler_in_transaction_mode(
    rig: Rigs, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sessions are anybody's: nothing of one is used, and nothing is left in it."""
    try:
        pooler = Pooler(server.address("postgres"), size=2)
    except Unavailable as error:
        unavailable(error, "pgbouncer")
    direct = stores.address_of(tmp_path / "hotel.db")
    stores.spell()
    opened = partial(opening.open_store, pooler.before(direct), busy_timeout=0.5)
    monkeypatch.setattr(rigs, "open_store", lambda _path: opened())
    others = []
    try:
        others += [opened() for _ in range(3)]
        shop = rig(hotel())
        assert shop.store.db.prepare_threshold is None
        for number in range(SAGAS):
            shop.append(TripRequested("t"), f"s{number}")
            others[number % 3].history(f"s{number}")
        cut(server)
        shop.settle()
        assert_done_once(shop)
        for each in others:
            each.positions()
            assert each.db.execute("SHOW lock_timeout").fetchone() == ("0",)
    finally:
        for each in others:
            each.close()
        pooler.stop()
