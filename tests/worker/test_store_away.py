"""A store that is locked, full or failing for a while: the worker waits, says so, and loses nothing."""

from __future__ import annotations

import logging
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from choreo import Retry
from choreo.errors import StoreUnavailable
from choreo.store.sqlite.store import SQLiteStore
from choreo.worker import Options
from choreo.worker.composition import open_store
from tests.stores import in_postgresql
from tests.worker.conftest import Rigs
from tests.worker.provider import Provider, asked, until
from tests.worker.provider import hotel as calling_hotel
from tests.worker.rig import Rig
from tests.worker.services import SECOND, Script, hotel
from tests.worker.trip import FlightFull, HotelBooked, HotelCancelled, TripRequested

Away = Callable[[Rig], Any]

pytestmark = pytest.mark.skipif(in_postgresql(), reason="of files: test_outages has the others")


@contextmanager
def locked(rig: Rig) -> Iterator[None]:
    """Hold a write transaction in another connection."""
    other = sqlite3.connect(rig.path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        other.close()


@contextmanager
def full(rig: Rig) -> Iterator[None]:
    """Let the database have no more pages than it has."""
    connection = rig.store.db.conn
    connection.execute("CREATE TABLE IF NOT EXISTS filler (x)")
    (pages,) = connection.execute("PRAGMA page_count").fetchone()
    connection.execute(f"PRAGMA max_page_count = {pages}")
    # What is left on the pages is used up, so that the next row needs a new one.
    with suppress(sqlite3.OperationalError):
        for _ in range(1_000):
            connection.execute("INSERT INTO filler VALUES (zeroblob(500))")
    try:
        yield
    finally:
        connection.execute("PRAGMA max_page_count = 1000000")


@contextmanager
def read_only(rig: Rig) -> Iterator[None]:
    """Refuse every write, as on a file system that was mounted again read-only."""
    connection = rig.store.db.conn
    connection.execute("PRAGMA query_only = ON")
    try:
        yield
    finally:
        connection.execute("PRAGMA query_only = OFF")


AWAY = pytest.mark.parametrize("away", [locked, full, read_only])


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait briefly for other writers, in this process."""
    made = SQLiteStore.__init__
    monkeypatch.setattr(
        SQLiteStore,
        "__init__",
        lambda self, path, **given: made(self, path, **{**given, "busy_timeout": 0.01}),
    )


def _turns(rig: Rig, times: int = 6) -> None:
    for _ in range(times):
        rig.worker.turn()


@AWAY
def test_records_wait_for_the_store(rig: Rigs, away: Away, caplog: pytest.LogCaptureFixture) -> None:
    """It is said once, and when it is over; nothing is lost and nothing done twice."""
    caplog.set_level(logging.INFO, "choreo.worker")
    book = Script()
    shop = rig(hotel(book))
    for number in range(40):
        shop.append(TripRequested("t" * 200), f"s{number}")
    with away(shop):
        _turns(shop)
        assert not shop.records_of("hotel")
    shop.settle()
    assert [shop.published(f"s{number}") for number in range(40)] == [[HotelBooked("t" * 200)]] * 40
    assert [shop.effects(f"s{number}") for number in range(40)] == [["action"]] * 40
    records = [each for each in caplog.records if "its store" in each.getMessage()]
    assert {each.levelname for each in records} == {"WARNING"}, "who hears of the wait hears of its end"
    said = [record.getMessage() for record in records]
    assert [each.split(":")[1].split(",")[0].strip() for each in said] == [
        "waits for its store",
        "its store is there again",
    ]
    assert len(shop.records_of("hotel")) == 40


@AWAY
def test_results_of_calls_wait_for_the_store(rig: Rigs, away: Away) -> None:
    """No handler is called again because of it."""
    provider = Provider()
    shop = rig(calling_hotel(provider))
    for number in range(10):
        shop.append(TripRequested("t" * 500), f"s{number}")
    asked(shop, provider, 10)
    with away(shop):
        provider.answer(*[None] * 10)
        deadline = time.monotonic() + 10
        while len(shop.worker._calls._runner.finished) + len(shop.worker._uncommitted.finished) < 10:
            assert time.monotonic() < deadline
            shop.worker.turn()
        _turns(shop)
        assert not shop.records_of("hotel")
    until(shop, lambda: len(shop.records_of("hotel")) == 10)
    shop.settle()
    assert len(provider.keys) == 10
    assert len(shop.records_of("hotel")) == 10


@AWAY
def test_what_is_due_waits_for_the_store(rig: Rigs, away: Away) -> None:
    """A retry, and its attempt is counted once."""
    book = Script([ConnectionError()])
    shop = rig(hotel(book, retry=Retry(attempts=2, delay=SECOND)))
    shop.feed(TripRequested("t"))
    shop.clock.advance(1)
    with away(shop):
        _turns(shop)
        assert away is full or not shop.published()  # so little may still find room
    shop.settle()
    assert shop.published() == [HotelBooked("t")]
    assert book.calls[-1].attempt == 2


def test_an_assignment_waits_for_the_store(rig: Rigs) -> None:
    """So does what a start does before it."""
    shop = rig(hotel())
    shop.feed(TripRequested("t"))
    shop.close()
    shop.append(FlightFull("t", "full"))
    for wait in (shop.begin, shop.settle):
        held = sqlite3.connect(shop.path, isolation_level=None, check_same_thread=False)
        held.execute("BEGIN IMMEDIATE")
        timer = threading.Timer(0.1, held.rollback)
        timer.start()
        wait()
        timer.join()
        held.close()
    assert shop.published() == [HotelBooked("t"), HotelCancelled("t")]


def test_a_store_that_is_locked_at_the_start_is_waited_for(tmp_path: Path) -> None:
    """Before it is made, too."""
    path = tmp_path / "shop.db"
    SQLiteStore(path).close()
    held = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    held.execute("BEGIN EXCLUSIVE")
    timer = threading.Timer(0.1, held.rollback)
    timer.start()
    open_store("shop", path).close()
    timer.join()
    held.close()


@AWAY
def test_a_stop_does_not_wait_for_ever(rig: Rigs, away: Away) -> None:
    """It ends, and the next start goes on."""
    shop = rig(hotel(), options=Options(idle_seconds=0.0, flush_seconds=0.0))
    shop.append(TripRequested("t"))
    with away(shop):
        _turns(shop)
        shop.worker.stop()
        shop.worker._drain()
        shop.worker._finish()
    shop.restart()
    assert shop.published() == [HotelBooked("t")]


def test_a_web_transaction_is_refused_after_its_wait(rig: Rigs) -> None:
    """In words that say what to do."""
    shop = rig(hotel())
    with locked(shop), pytest.raises(StoreUnavailable) as refused, shop.participant.transaction():
        pass
    assert "is locked" in str(refused.value)
    assert "try again" in refused.value.hint


@contextmanager
def away_in_turn(rig: Rig, number: int, *, is_committed: bool) -> Iterator[None]:
    """Let the store be away in one of the transactions to come, which may be committed all the same."""
    turn, count = rig.store.turn, iter(range(1, 1_000))

    @contextmanager
    def may_fail() -> Iterator[None]:
        is_now = next(count) == number
        with turn():
            yield
            if is_now and not is_committed:
                raise StoreUnavailable("the store is locked")
        if is_now:
            raise StoreUnavailable("the disk fails")

    rig.store.turn = may_fail  # type: ignore[method-assign]
    try:
        yield
    finally:
        rig.store.turn = turn  # type: ignore[method-assign]


COMMITTED = pytest.mark.parametrize("is_committed", [False, True], ids=["undone", "committed"])


@COMMITTED
@pytest.mark.parametrize("number", [1, 2, 3, 4, 5])
def test_a_worker_is_not_careful_for_ever(rig: Rigs, number: int, is_committed: bool) -> None:
    """Wherever its store is away while it is: then an event is folded and acted on in one turn again."""
    shop = rig(hotel(), options=Options(idle_seconds=0.0, turn_items=1))
    shop.close()
    shop.append(TripRequested("t"))
    shop.begin()
    with away_in_turn(shop, number, is_committed=is_committed):
        shop.settle()
    assert shop.effects("s1") == ["action"]
    shop.append(TripRequested("t"), "s2")
    shop.worker.turn()
    assert shop.effects("s2") == ["action"]


@COMMITTED
@pytest.mark.parametrize("is_careful", [False, True], ids=["together", "careful"])
@pytest.mark.parametrize("number", [1, 2, 3])
def test_results_outlast_a_rebalance(rig: Rigs, number: int, is_careful: bool, is_committed: bool) -> None:
    """A result that the store could not take waits until its partition is read to the end again."""
    provider = Provider()
    shop = rig(calling_hotel(provider), options=Options(idle_seconds=0.0, turn_items=2))
    shop.feed(TripRequested("t"))
    asked(shop, provider, 1)
    provider.answer(None)
    with locked(shop):
        until(shop, lambda: bool(shop.worker._uncommitted.finished))
    if is_careful:
        shop.worker._careful.begin(9)
    shop.broker.expel(shop.worker._log)  # type: ignore[arg-type]
    with away_in_turn(shop, number, is_committed=is_committed):
        shop.worker.turn()
        shop.broker.join(shop.worker._log)  # type: ignore[arg-type]
        for other in range(6):
            shop.append(FlightFull("t", "full"), f"other{other}")
        shop.settle()
    assert shop.published() == [HotelBooked("t")]
    assert len(provider.keys) == 1


def test_ends_of_a_process_are_forgotten_once_the_store_is_there(rig: Rigs) -> None:
    """It is away in the moment in which the worker is trusted again."""
    shop = rig(hotel())
    shop.restart()
    with away_in_turn(shop, 1, is_committed=False):
        for _ in range(2):
            shop.clock.advance(100)
            shop.worker.turn()
    shop.close()
    with closing(SQLiteStore(shop.path)) as store, store.turn():
        assert store.claim() == 0


@COMMITTED
@pytest.mark.parametrize("number", [1, 2, 3])
def test_the_schedule_is_pulled_in_once_the_store_is_there(
    rig: Rigs, number: int, is_committed: bool
) -> None:
    """After a start with a clock that was set back, nothing waits for a time that was never due."""
    book = Script([ConnectionError()])
    shop = rig(hotel(book, retry=Retry(attempts=2, delay=SECOND)))
    shop.feed(TripRequested("t"))
    shop.close()
    shop.clock.advance(-3600)
    shop.begin()
    with away_in_turn(shop, number, is_committed=is_committed):
        _turns(shop, 4)
        for _ in range(2):
            shop.clock.advance(1)
            shop.settle()
    assert shop.published() == [HotelBooked("t")]
