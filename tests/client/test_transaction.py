"""Starting and cancelling sagas in the caller's own transaction."""

from __future__ import annotations

import multiprocessing
import threading
import time
from contextlib import suppress
from pathlib import Path

import pytest

from choreo import Participant, connect
from choreo.client.transaction import new_saga_id
from choreo.errors import ConfigurationError, DeclarationError
from choreo.worker import Options
from tests.worker.conftest import Rigs
from tests.worker.rig import Rig
from tests.worker.services import Script, agency, flight, hotel
from tests.worker.trip import (
    FlightBooked,
    HotelBooked,
    HotelFull,
    TripBooked,
    TripCancelled,
    TripFailed,
    TripRequested,
    trip,
)


def start(participant: Participant, saga_id: str | None = "s1", trip_id: str = "t") -> str:
    with participant.transaction() as tx:
        tx.db.execute("create table if not exists effects (saga_id text, what text)")
        tx.db.execute("insert into effects values (?, 'wished')", [saga_id])
        return tx.start(TripRequested(trip_id), saga_id)


def test_starting_twice_starts_once(rig: Rigs) -> None:
    """A saga id given by the caller makes his request repeatable; the first event is the one."""
    shop = rig(agency())
    assert start(shop.participant) == start(shop.participant, trip_id="other") == "s1"
    shop.settle()
    start(shop.participant)
    shop.settle()
    assert shop.published() == [TripRequested("t")]
    assert len(shop.records()) == 1


def test_a_saga_id_is_made_where_none_is_given(rig: Rigs) -> None:
    """Ids sort by time, to the millisecond."""
    shop = rig(agency())
    first, second = start(shop.participant, None), start(shop.participant, None)
    assert first != second
    shop.settle()
    assert shop.published(first) == shop.published(second) == [TripRequested("t")]
    assert new_saga_id()[14] == "7"


def test_an_exception_undoes_the_start_and_the_callers_rows(rig: Rigs) -> None:
    """One transaction, the caller's."""
    shop = rig(agency())
    with suppress(ZeroDivisionError), shop.participant.transaction() as tx:
        tx.db.execute("insert into effects values ('s1', 'wished')")
        tx.start(TripRequested("t"), "s1")
        _ = 1 / 0
    shop.settle()
    assert shop.records() == []
    assert shop.history() == []
    assert shop.effects() == []


@pytest.mark.parametrize("saga_id", ["", "x" * 256, "a\nb", "\x00"])
def test_a_saga_id_that_nobody_would_read_is_refused(rig: Rigs, saga_id: str) -> None:
    """Before anything is written."""
    shop = rig(agency())
    with pytest.raises(ConfigurationError, match="1 to 255 printable"), shop.participant.transaction() as tx:
        tx.start(TripRequested("t"), saga_id)
    with pytest.raises(ConfigurationError), shop.participant.transaction() as tx:
        tx.cancel(saga_id, TripCancelled("t"))
    assert shop.history(saga_id) == []


def test_an_event_that_starts_no_saga_is_refused_with_those_that_do(rig: Rigs) -> None:
    """The same for one that cancels none."""
    shop = rig(agency())
    with (
        pytest.raises(DeclarationError, match=r"HotelBooked starts no saga .*trip\.TripRequested"),
        shop.participant.transaction() as tx,
    ):
        tx.start(HotelBooked("t"))
    with (
        pytest.raises(DeclarationError, match=r"TripRequested aborts no saga .*trip\.TripCancelled"),
        shop.participant.transaction() as tx,
    ):
        tx.cancel("s1", TripRequested("t"))


def test_who_does_not_own_the_start_may_not_start(rig: Rigs) -> None:
    """He could not end the saga when it fails."""
    shop = rig(hotel())
    with (
        pytest.raises(DeclarationError, match=r"hotel starts 'trip' but .*TripFailed"),
        shop.participant.transaction() as tx,
    ):
        tx.start(TripRequested("t"))


def test_a_transaction_before_connect_says_what_to_call() -> None:
    """Nobody has said where the store is."""
    with pytest.raises(ConfigurationError, match=r"choreo\.connect\(agency"):
        agency().transaction()


def test_tables_that_could_not_be_made_are_made_by_the_next_transaction(rig: Rigs) -> None:
    """The database was locked, say."""
    shop = rig(agency())
    calls: list[object] = []

    def prepare(db: object) -> None:
        calls.append(db)
        if len(calls) == 1:
            raise ConnectionError

    shop.participant.prepare = prepare
    connect(shop.participant, shop.path)
    for _ in range(3):
        with suppress(ConnectionError):
            start(shop.participant)
    shop.settle()
    assert len(calls) == 2
    assert shop.published() == [TripRequested("t")]


def _start_elsewhere(path: Path, saga_id: str) -> None:
    """Be another process of the service, a web server say."""
    participant = agency()
    connect(participant, path)
    start(participant, saga_id)


class Running:
    """A worker that runs in a thread of its own, on its own connection."""

    def __init__(self, shop: Rig) -> None:
        self._shop = shop
        self._ready = threading.Event()
        self._over = False
        self._thread = threading.Thread(target=self._run)
        shop.options = Options()

    def _run(self) -> None:
        worker = self._shop.begin()
        while not worker.is_live:
            worker.turn()
        self._ready.set()
        while not self._over:
            worker.turn()
        self._shop.close()

    def __enter__(self) -> Running:
        self._thread.start()
        assert self._ready.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        self._over = True
        self._thread.join()

    def seconds_until_published(self, count: int) -> float:
        began = time.monotonic()
        with self._shop.broker.changed:
            assert self._shop.broker.changed.wait_for(lambda: len(self._shop.records()) == count, 10)
        return time.monotonic() - began


def test_a_worker_notices_what_another_thread_starts(rig: Rigs) -> None:
    """Within 50 ms on an idle machine; each thread has a connection of its own."""
    shop = rig(agency(), opened=False)
    with Running(shop) as running:
        connect(shop.participant, shop.path)
        noticed = []
        for number in range(1, 6):
            start(shop.participant, f"s{number}")
            noticed.append(running.seconds_until_published(number))
    assert min(noticed) < 0.05
    assert max(noticed) < 1


def test_a_worker_notices_what_another_process_starts(rig: Rigs) -> None:
    """It neither polls the broker nor is told: it sees that the database has changed."""
    shop = rig(agency(), opened=False)
    with Running(shop) as running:
        process = multiprocessing.get_context("spawn").Process(
            target=_start_elsewhere, args=(shop.path, "s1")
        )
        process.start()
        process.join(30)
        assert process.exitcode == 0
        assert running.seconds_until_published(1) < 1


def test_a_cancellation_before_the_start_is_kept(rig: Rigs) -> None:
    """Whoever is triggered by the start refuses; the owner of the start takes its own start all the same."""
    shop = rig(agency())
    with shop.participant.transaction() as tx:
        tx.cancel("s1", TripCancelled("t"))
    shop.settle()
    start(shop.participant)
    shop.settle()
    assert shop.published() == [TripCancelled("t"), TripRequested("t")]
    assert shop.saga().state == "compensating"
    shop.feed(HotelFull("t", "the saga is aborted"))
    assert shop.published()[-1] == TripFailed("t", "the saga is aborted")
    assert shop.saga().end == "failed"


def test_a_cancellation_stops_what_would_come_next(rig: Rigs) -> None:
    """What is done stays until its successor has failed: here the flight refuses."""
    shop = rig(flight(fly := Script()))
    shop.feed(TripRequested("t"), TripCancelled("t"), HotelBooked("t"))
    assert [type(each).__name__ for each in shop.published()] == ["FlightFull"]
    assert fly.calls == []


def test_a_cancellation_that_comes_too_late_stops_nothing(rig: Rigs) -> None:
    """The saga has ended: it is recorded, void."""
    shop = rig(agency())
    start(shop.participant)
    shop.settle()
    shop.feed(HotelBooked("t"), FlightBooked("t"), TripBooked("t"))
    with shop.participant.transaction() as tx:
        tx.cancel("s1", TripCancelled("t"))
        tx.cancel("s1", TripCancelled("t"))
    assert shop.history()[-1].saga_state == "completed"
    shop.settle()
    assert shop.published() == [TripRequested("t"), TripCancelled("t")]
    assert shop.saga().end == "completed"
    assert not shop.saga().cancelled
    assert shop.history()[-1].note == "void"


def test_a_saga_without_a_cancellation_can_not_be_cancelled(
    rig: Rigs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The contract must name the event."""
    monkeypatch.setattr(trip, "aborts", None)
    shop = rig(agency())
    with pytest.raises(DeclarationError, match="events that do: none"), shop.participant.transaction() as tx:
        tx.cancel("s1", TripCancelled("t"))
