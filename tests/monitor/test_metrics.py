"""Metrics are what the worker and its store say at the moment of asking."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from choreo import Context, Participant
from choreo.dashboard import app
from choreo.errors import StoreError
from choreo.monitor import metrics
from choreo.monitor.counts import COUNTED
from choreo.store.opening import open_reader
from choreo.store.sqlite.reader import StoreReader
from choreo.worker.tally import REFUSALS
from tests.cli.command import invoke
from tests.dashboard.asking import ask
from tests.stores import place
from tests.worker.rig import NOON, Rig
from tests.worker.services import Script, agency, hotel
from tests.worker.trip import HotelBooked, HotelFull, HotelLate, TripBooked, TripRequested

Values = dict[tuple[tuple[str, Any], ...], float]


class Watched:
    """A worker with a reader of its metrics."""

    def __init__(self, participant: Participant, folder: Path) -> None:
        self.rig = Rig(participant, folder)
        self.collected = InMemoryMetricReader()
        self.open_store: Callable[[], Any] = lambda: StoreReader(self.rig.path)
        provider = MeterProvider(metric_readers=[self.collected])
        worker = self.rig.begin()
        metrics.observe(provider.get_meter("choreo"), participant, worker.progress, lambda: self.open_store())

    def values(self, name: str) -> Values:
        """Return the values of a metric by their labels, without that of the participant."""
        found = self.points(name)
        assert all((each.attributes or {})["participant"] == self.rig.participant.name for each in found)
        return {
            tuple(
                sorted((k, v) for k, v in (each.attributes or {}).items() if k != "participant")
            ): each.value
            for each in found
        }

    def points(self, name: str) -> list[Any]:
        """Return the points of a metric."""
        data = self.collected.get_metrics_data()
        return [
            point
            for resource in (data.resource_metrics if data else ())
            for scope in resource.scope_metrics
            for metric in scope.metrics
            if metric.name == name
            for point in metric.data.data_points
        ]


@pytest.fixture
def watch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Participant], Watched]]:
    """Return a function that opens a worker and reads its metrics; nothing is cached between two readings."""
    monkeypatch.setattr(metrics, "_FRESH", -1.0)
    monkeypatch.setattr(metrics, "_SPARING", 0.0)
    opened: list[Watched] = []
    monkeypatch.setattr(metrics.time, "time", lambda: (opened[-1].rig.clock.now() if opened else NOON) / 1000)

    def open_one(participant: Participant) -> Watched:
        opened.append(Watched(participant, tmp_path))
        return opened[-1]

    yield open_one
    for each in opened:
        each.rig.close()


def test_items_of_turns_are_counted(watch: Callable[[Participant], Watched]) -> None:
    """Idle turns are none."""
    watched = watch(hotel())
    watched.rig.settle()
    assert watched.values("choreo.turn.items") == {(): 0}
    watched.rig.feed(TripRequested(trip="t"))
    items, turns = watched.values("choreo.turn.items")[()], watched.values("choreo.turns")[()]
    assert 2 <= items <= 3
    assert 1 <= turns <= items


def test_what_is_repeated_refused_or_void_is_counted(watch: Callable[[Participant], Watched]) -> None:
    """From 0 on, so that the first of them is seen as a change."""
    watched = watch(hotel(Script([ConnectionError()])))
    of_trips, what = (("saga_type", "trip"),), [(("what", each),) for each in REFUSALS]
    names = ("choreo.retries", "choreo.void", "choreo.refused")
    none = [{of_trips: 0}, {of_trips: 0}, dict.fromkeys(what, 0)]
    assert [watched.values(name) for name in names] == none
    watched.rig.feed(TripRequested("t"))
    watched.rig.feed(HotelBooked("t"), HotelFull("t", "no"))
    found = [watched.values(name) for name in names]
    assert found == [{of_trips: 1}, {of_trips: 1}, {**none[2], (("what", "outcome"),): 1}]


def test_lag_is_what_the_log_holds_beyond_the_position(watch: Callable[[Participant], Watched]) -> None:
    watched = watch(hotel())
    watched.rig.settle()
    for number in range(3):
        watched.rig.append(TripRequested(trip="t"), f"s{number}")
    where = (("partition", "0"), ("topic", "trip"))
    watched.rig.clock.advance(2)
    watched.rig.worker._look_at_ends()
    assert watched.values("choreo.consumer.lag") == {where: 3}
    watched.rig.settle()
    watched.rig.clock.advance(2)
    watched.rig.settle()
    assert watched.values("choreo.consumer.lag") == {where: 0}


def test_an_outage_of_the_log_fills_the_outbox(watch: Callable[[Participant], Watched]) -> None:
    """The age is that of the oldest event."""
    watched = watch(hotel())
    watched.rig.settle()
    assert watched.values("choreo.outbox.rows") == {(): 0}
    assert watched.values("choreo.outbox.age") == {(): 0.0}
    watched.rig.append(TripRequested(trip="t"))
    watched.rig.worker.turn()
    rows = watched.values("choreo.outbox.rows")[()]
    watched.rig.clock.advance(90)
    assert rows == 1
    assert watched.values("choreo.outbox.age")[()] == pytest.approx(90, abs=1)
    watched.rig.settle()
    assert watched.values("choreo.outbox.rows") == {(): 0}


def test_steps_that_events_make_up_are_not_told_without_end(
    watch: Callable[[Participant], Watched], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A label each: the oldest are, and of what is gone the latest."""
    monkeypatch.setattr(metrics, "_LASTING", 80)
    watched = watch(agency())
    for turn in range(4):
        for number in range(60):
            saga_id = f"s{turn}-{number}"
            with watched.rig.participant.transaction() as tx:
                tx.start(TripRequested("t"), saga_id)
            watched.rig.settle()
            watched.rig.append(
                HotelBooked("t"), saga_id, step=f"hotel.made_up{turn}_{number}", type="trip.Rumour"
            )
        watched.rig.settle()
        watched.rig.clock.advance(1)
        assert 50 <= len(watched.values("saga.oldest.age")) <= 50 + 2 + 80


def test_a_dead_letter_is_counted_until_it_is_closed(watch: Callable[[Participant], Watched]) -> None:
    """Afterwards its reason is reported as 0, so that an alert ends."""
    watched = watch(hotel())
    watched.rig.feed(TripRequested(trip="t"))
    assert watched.values("choreo.dead_letters") == {}
    watched.rig.append(TripRequested(trip="t"), body=b"\xff", id="another", saga_id="s2")
    watched.rig.settle()
    (letter,) = watched.rig.store.dead_letters()
    reason = (("reason", letter.reason),)
    assert watched.values("choreo.dead_letters") == {reason: 1}
    with watched.rig.store.turn():
        watched.rig.store.close_dead_letter(letter.id, "discarded", "", 0)
    assert watched.values("choreo.dead_letters") == {reason: 0}


def test_a_saga_is_stuck_when_nothing_happens_for_ten_minutes(
    watch: Callable[[Participant], Watched],
) -> None:
    """It is counted by the participant that starts it, and by no other."""
    watched = watch(agency())
    watched.rig.settle()
    with watched.rig.participant.transaction() as tx:
        tx.start(TripRequested(trip="t"), saga_id="s1")
    watched.rig.settle()
    assert set(watched.values("saga.stuck.count").values()) == {0}
    watched.rig.clock.advance(601)
    stuck = {key: count for key, count in watched.values("saga.stuck.count").items() if count}
    assert stuck == {(("saga_type", "trip"), ("state", "started")): 1}
    assert max(watched.values("saga.oldest.age").values()) == pytest.approx(601, abs=1)
    watched.rig.feed(HotelBooked(trip="t"))
    assert set(watched.values("saga.stuck.count").values()) == {0}
    watched.rig.feed(HotelFull(trip="t", reason="none"), saga_id="s2")
    watched.rig.clock.advance(600)
    assert sum(watched.values("saga.stuck.count").values()) == 2


def test_a_saga_whose_clock_was_ahead_is_not_hidden_by_others(
    watch: Callable[[Participant], Watched],
) -> None:
    """Its age is below zero, which alerts ask for: those beside it may always be young."""
    watched = watch(agency())
    now = watched.rig.clock.time
    for at in (now + 86_400_000, now, now):
        watched.rig.clock.time = at
        with watched.rig.participant.transaction() as tx:
            tx.start(TripRequested("t"))
        watched.rig.settle()
    assert sum(watched.values("saga.stuck.count").values()) == 1
    assert min(watched.values("saga.oldest.age").values()) == pytest.approx(-86_400, abs=5)
    watched.rig.clock.time = now + 605_000
    assert max(watched.values("saga.oldest.age").values()) == pytest.approx(605, abs=5)


def test_another_participant_counts_no_saga(watch: Callable[[Participant], Watched]) -> None:
    watched = watch(hotel())
    watched.rig.feed(TripRequested(trip="t"))
    watched.rig.clock.advance(10_000)
    assert watched.values("saga.stuck.count") == {}


def test_a_store_that_cannot_be_read_is_down_and_says_nothing_else(
    watch: Callable[[Participant], Watched],
) -> None:
    """What is unknown is left out, so that no alert ends by an outage."""

    def gone() -> Any:
        raise StoreError("gone")

    watched = watch(agency())
    watched.rig.settle()
    assert watched.values("choreo.store.up") == {(): 1}
    watched.open_store = gone
    assert watched.values("choreo.store.up") == {(): 0}
    assert watched.values("choreo.outbox.rows") == {}
    assert watched.values("saga.stuck.count") == {}


def test_what_a_crash_left_is_counted_at_once(
    watch: Callable[[Participant], Watched], tmp_path: Path
) -> None:
    """The numbers are the store's, not those of a process."""
    watched = watch(hotel())
    watched.rig.settle()
    watched.rig.append(TripRequested(trip="t"))
    watched.rig.worker.turn()
    watched.rig.close()
    assert os.path.exists(watched.rig.path)
    assert watched.values("choreo.outbox.rows") == {(): 1}


def test_sagas_are_counted_as_they_begin_and_end(watch: Callable[[Participant], Watched]) -> None:
    """Each once, by its type; the histogram has the time from start to end."""
    watched = watch(agency())
    rig = watched.rig
    rig.settle()
    for saga_id in ("s1", "s2", "s3"):
        with rig.participant.transaction() as tx:
            tx.start(TripRequested(trip="t"), saga_id=saga_id)
    rig.settle()
    rig.clock.advance(20)
    rig.feed(HotelBooked(trip="t"), TripBooked(trip="t"), saga_id="s1")
    rig.feed(HotelFull(trip="t", reason="none"), saga_id="s2")
    of_trips = (("saga_type", "trip"),)
    found = {name: watched.values(f"saga.{name}")[of_trips] for name in COUNTED}
    assert found == {"started": 3, "compensating": 1, "completed": 1, "failed": 1}
    again = {name: watched.values(f"saga.{name}")[of_trips] for name in COUNTED}
    assert again == found
    durations = watched.points("saga.duration")
    assert {(each.attributes["outcome"], each.count, each.sum) for each in durations} == {
        ("completed", 1, 20.0),
        ("failed", 1, 20.0),
    }
    assert durations[0].explicit_bounds == (1, 5, 15, 30, 60, 300, 600)


@pytest.mark.usefixtures("each_store")
def test_a_deadline_that_was_extended_hides_no_saga(watch: Callable[[Participant], Watched]) -> None:
    """Only the store that has it knows of it: so a saga is stuck all the same, and each view says why."""
    participant = agency()

    @participant.deadline(of="hotel.book", within=timedelta(hours=1))
    def hotel_is_late(event: TripRequested, ctx: Context) -> HotelLate:
        return HotelLate(event.trip)

    watched = watch(participant)
    where = place(watched.rig.path)
    watched.open_store = lambda: open_reader(where)
    now = time.time_ns() // 1_000_000
    watched.rig.clock.time = now - 20 * 60_000
    watched.rig.feed(TripRequested("t"))
    watched.rig.clock.time = now
    before = watched.values("saga.stuck.count")
    assert sum(before.values()) == 1
    named = ("s1", "hotel_is_late", "--because", "they called", "--store", where)
    assert invoke("deadlines", "extend", *named, "--for", "5h").exit_code == 0
    assert watched.values("saga.stuck.count") == before
    stuck = invoke("sagas", "--stuck", "--store", where)
    assert (stuck.exit_code, "agency.hotel_is_late extended" in stuck.stdout) == (1, True)
    page = ask(app(where, schemas=watched.rig.path.parent), "/")
    assert page.sagas == ["s1"]
    assert "hotel_is_late extended" in page.text
    traced = invoke("trace", "s1", "--store", where).stdout
    assert "extended until 20" in traced
    assert "they called" in traced


def test_the_wait_for_the_store_is_counted_while_it_lasts(
    watch: Callable[[Participant], Watched], monkeypatch: pytest.MonkeyPatch
) -> None:
    """And once it is over, the same: a counter that goes back is taken for one that began anew."""
    watched = watch(hotel())
    clock, progress = watched.rig.clock, watched.rig.worker.progress
    monkeypatch.setattr(metrics, "monotonic", clock.monotonic)
    waited = lambda: watched.values("choreo.store.wait")[()]  # noqa: E731
    assert waited() == 0
    progress.wait(clock.monotonic())
    clock.advance(90)
    progress.wait(clock.monotonic())
    assert waited() == 90
    progress.is_there(clock.monotonic())
    assert waited() == 90
    clock.advance(5)
    assert waited() == 90


class SlowStore:
    """A store that takes 4 s to be opened, and then can't be."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, watched: Watched) -> None:
        self.now = 0.0
        self.opened = 0
        self.is_away = True
        self._path = watched.rig.path
        monkeypatch.setattr(metrics, "_FRESH", 1.0)
        monkeypatch.setattr(metrics, "_SPARING", 100.0)
        monkeypatch.setattr(metrics, "monotonic", lambda: self.now)
        watched.open_store = self.open

    def open(self) -> StoreReader:
        """Open it."""
        self.opened += 1
        self.now += 4
        if self.is_away:
            raise StoreError("locked")
        return StoreReader(self._path)


def test_a_store_that_is_slow_to_be_away_is_asked_once_for_a_collection(
    watch: Callable[[Participant], Watched], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who collects gives up after 10 s, and would not learn that the store is away."""
    watched = watch(agency())
    with watched.rig.participant.transaction() as tx:
        tx.start(TripRequested("t"))
    watched.rig.settle()
    store = SlowStore(monkeypatch, watched)
    assert watched.values("choreo.store.up") == {(): 0}
    assert store.opened == 1
    store.is_away = False
    store.now += 2
    assert set(watched.values("saga.stuck.count").values()) == {0}
    assert store.opened == 4, "once for what waits, for the sagas in flight, and for the counts"
