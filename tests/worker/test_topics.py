"""Topics that change beneath a worker, or while it is stopped: made anew, truncated, compacted, grown."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from confluent_kafka.cimpl import murmur2

from choreo.errors import ChoreoError, LogError, StoreMismatch
from choreo.participant.topics import TopicNeed, topic_needs
from choreo.ports import Assignment
from choreo.records import Partition
from choreo.testing.broker import MemoryBroker
from choreo.worker.options import Options
from choreo.worker.topics import INTERVAL
from tests.stores import in_postgresql
from tests.worker.conftest import Rigs
from tests.worker.replicas import Replicas
from tests.worker.rig import Rig
from tests.worker.services import agency, hotel
from tests.worker.test_imports import booked, office, opened, told
from tests.worker.test_unpublishable import exporting
from tests.worker.trip import HotelBooked, TripBooked, TripRequested


def make_anew(
    broker: MemoryBroker, topic: str = "trip", records: int = 0, partitions: int = 1, times: int = 1
) -> None:
    """Delete a topic, and make one of the same name, with so many records of somebody else in it."""
    for _ in range(times):
        broker.delete_topic(topic)
        broker.create_topic(topic, partitions)
    for _ in range(records):
        broker.append(topic, b"k", [], b"")


LOSSES: dict[str, Callable[[MemoryBroker], None]] = {
    "made anew, and empty": make_anew,
    "made anew, and shorter": lambda broker: make_anew(broker, records=1),
    "made anew, and as long": lambda broker: make_anew(broker, records=2),
    "made anew, and longer": lambda broker: make_anew(broker, records=20),
    "made anew twice": lambda broker: make_anew(broker, records=3, times=2),
    "made anew with more partitions": lambda broker: make_anew(broker, records=3, partitions=4),
    "compacted": lambda broker: broker.configure("trip", {"cleanup.policy": "compact"}),
    "compacted and deleted": lambda broker: broker.configure("trip", {"cleanup.policy": "compact,delete"}),
}


def later(rigged: Rig, turns: int = 3) -> None:
    """Let the worker run beyond its next look at the topics."""
    for _ in range(turns):
        rigged.clock.advance(INTERVAL + 1)
        rigged.worker.turn()


def begin(rigged: Rig, *sagas: str) -> None:
    """Start sagas as a web process does."""
    for saga_id in sagas:
        with rigged.participant.transaction() as tx:
            tx.start(TripRequested("t"), saga_id)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("running", [True, False])
def test_what_loses_events_ends_the_worker_at_every_start(rig: Rigs, loss: str, running: bool) -> None:
    """It publishes nothing to such a topic: what was started meanwhile waits in the outbox."""
    rigged = rig(agency())
    begin(rigged, "s1")
    rigged.settle()
    if not running:
        rigged.close()
    LOSSES[loss](rigged.broker)
    before = rigged.broker.records()
    if running:
        with pytest.raises(ChoreoError, match=r"made anew|compact|out of range"):
            later(rigged)
        rigged.close()
    for start in range(3):
        with pytest.raises((StoreMismatch, LogError), match=r"made anew|compact"):
            rigged.begin()
        if start == 0:
            begin(rigged, "s2", "s3")
        assert rigged.broker.records() == before
        waiting = f"select saga_id from {'requests' if in_postgresql() else 'outbox'}"
        assert {row["saga_id"] for row in rigged.store.db.query(waiting)} >= {"s2", "s3"}
        rigged.close()


def test_a_mended_topic_is_worked_on_again(rig: Rigs) -> None:
    """A topic that is no longer compacted; nothing was lost."""
    rigged = rig(agency())
    rigged.broker.configure("trip", {"cleanup.policy": "compact"})
    with pytest.raises(LogError, match=r"cleanup\.policy is compact, not delete.*hint: set cleanup"):
        later(rigged)
    begin(rigged, "s1")
    rigged.close()
    rigged.broker.configure("trip", {"cleanup.policy": "delete"})
    rigged.open()
    assert rigged.published() == [TripRequested("t")]


def test_a_truncated_topic_is_refused_at_every_start(rig: Rigs) -> None:
    """Records were deleted that the worker has not read."""
    rigged = rig(hotel())
    rigged.feed(TripRequested("t"))
    rigged.close()
    for saga_id in ("s2", "s3", "s4"):
        rigged.append(TripRequested("t"), saga_id)
    rigged.broker.forget(Partition("trip", 0), 4)
    for _ in range(2):
        rigged.begin()
        with pytest.raises(StoreMismatch, match="the store stands at offset 2, the log holds 4 to 5"):
            rigged.settle()
        rigged.close()


def test_an_imported_topic_that_was_made_anew_is_read_from_its_beginning(
    each_store: str, rig: Rigs, caplog: pytest.LogCaptureFixture
) -> None:
    """It is another system's, which may do so; what it held is gone for everybody, and the saga goes on."""
    rigged = opened(rig, office(booked()))
    begin(rigged, "s1", "s2")
    rigged.settle()
    told(rigged, HotelBooked("s1"))
    make_anew(rigged.broker, "chain")
    with pytest.raises((StoreMismatch, LogError), match="made anew"):
        later(rigged)
    rigged.close()
    name = [("ce_type", b"trip.HotelBooked")]
    rigged.broker.append("chain", b"any", name, rigged.codec.encode(HotelBooked("s1")))
    rigged.broker.append("chain", b"any", name, rigged.codec.encode(HotelBooked("s2")))
    rigged.options = Options(idle_seconds=0.0, start="latest")
    with caplog.at_level(logging.WARNING):
        rigged.open()
    assert "topic chain was made anew: it is imported from its beginning" in caplog.text
    for saga_id in ("s1", "s2"):
        assert rigged.published(saga_id)[1] == HotelBooked(saga_id)
    rigged.restart()
    assert rigged.effects("s2") == ["confirmed"]


NAMED = [("ce_type", b"trip.HotelBooked")]


def stop(many: Replicas) -> None:
    """Let all replicas end."""
    for each in many.running:
        each.close()
        many.broker.expel(each.log)
    many.running.clear()


def tell(broker: MemoryBroker, body: bytes, *numbers: int) -> None:
    """Let the other system publish an event on partitions of its topic."""
    for number in numbers:
        key = next(f"k{each}".encode() for each in range(99) if murmur2(f"k{each}".encode(), 2) == number)
        broker.append("chain", key, NAMED, body)


@pytest.mark.parametrize("dies", ["before it has joined", "with one partition"])
def test_an_imported_topic_that_was_made_anew_is_so_after_a_crash(
    each_store: str, rig: Rigs, dies: str
) -> None:
    """Whether its partitions are joined already, or some: each of them is read from its beginning."""
    rigged = opened(rig, office(booked()))
    begin(rigged, "s0", "s1")
    rigged.settle()
    told(rigged, HotelBooked("s0"))
    rigged.close()
    make_anew(rigged.broker, "chain", partitions=2)
    for number in (0, 1):
        tell(rigged.broker, rigged.codec.encode(HotelBooked(f"s{number}")), number)
    rigged.options = Options(idle_seconds=0.0, start="latest")
    rigged.begin()
    if dies == "with one partition":
        rigged.worker._partitions.assign([Assignment(Partition("chain", 0), 0, 1)])
    rigged.restart()
    assert rigged.published("s1")[1:] == [HotelBooked("s1"), TripBooked("s1")]
    assert {number: at for (topic, number), at in rigged.store.positions().items() if topic == "chain"} == {
        0: 1,
        1: 1,
    }


def test_replicas_read_an_imported_topic_that_was_made_anew(empty_store: str, tmp_path: Path) -> None:
    """The first that starts sees it; all of them begin at its beginning."""
    many = Replicas(tmp_path, empty_store, lambda: office(booked()), start="latest")
    many.broker.create_topic("chain", 2)
    try:
        many.start(2)
        many.feed(TripRequested, ["s0", "s1"])
        stop(many)
        make_anew(many.broker, "chain", partitions=2)
        for number in (0, 1):
            tell(many.broker, many.rig.codec.encode(HotelBooked(f"s{number}")), number)
        many.start(2)
        for saga_id in ("s0", "s1"):
            assert HotelBooked(saga_id) in many.rig.published(saga_id)
    finally:
        many.close()


@pytest.mark.parametrize("running", [True, False])
def test_partitions_that_were_added_to_an_imported_topic_are_imported(
    each_store: str, rig: Rigs, running: bool
) -> None:
    """From their beginning, as they hold nothing of before; what another one held then stays out."""
    rigged = rig(office(booked()), opened=False, options=Options(idle_seconds=0.0, start="latest"))
    rigged.broker.create_topic("chain", 1)
    rigged.broker.append("chain", b"any", NAMED, rigged.codec.encode(HotelBooked("s0")))
    rigged.open()
    begin(rigged, "s0", "s1")
    rigged.settle()
    if not running:
        rigged.close()
    rigged.broker.add_partitions("chain", 1)
    tell(rigged.broker, rigged.codec.encode(HotelBooked("s1")), 1)
    if not running:
        rigged.begin()
    later(rigged)
    rigged.settle()
    assert rigged.published("s1")[1:] == [HotelBooked("s1"), TripBooked("s1")]
    rigged.restart()
    assert rigged.published("s0") == [TripRequested("t")]
    tell(rigged.broker, rigged.codec.encode(HotelBooked("s0")), 0)
    rigged.settle()
    assert rigged.published("s0")[1:] == [HotelBooked("s0"), TripBooked("s0")]


def test_replicas_import_nothing_of_before_from_a_broker_that_describes_no_topics(
    empty_store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the embedded one: whatever partition a replica gets, it was there at first."""
    many = Replicas(tmp_path, empty_store, lambda: office(booked()), start="latest")
    many.broker.create_topic("chain", 2)
    body = {each: many.rig.codec.encode(HotelBooked(each)) for each in ("s0", "s1")}
    monkeypatch.setattr("choreo.testing.broker.MemoryLog.describe", lambda *_: ())
    try:
        for number in (0, 1):
            tell(many.broker, body[f"s{number}"], number)
        many.start(2)
        many.feed(TripRequested, body)
        assert [each for each in body if HotelBooked(each) in many.rig.published(each)] == []
    finally:
        many.close()


@pytest.mark.parametrize("when", ["at once", "after the first", "after a pause"])
def test_replicas_import_what_is_told_after_they_began(empty_store: str, tmp_path: Path, when: str) -> None:
    """Whichever of them has a partition first, nothing of before; of one that was added since, all."""
    many = Replicas(tmp_path, empty_store, lambda: office(booked()), start="latest")
    many.broker.create_topic("chain", 2)
    body = {each: many.rig.codec.encode(HotelBooked(each)) for each in ("s0", "s1", "s2", "s3")}
    try:
        for number in (0, 1):
            tell(many.broker, body[f"s{number}"], number)
        many.begin(2 if when == "at once" else 1)
        if when == "after the first":
            many.start(1)
        many.settle()
        many.feed(TripRequested, body)
        if when == "after a pause":
            stop(many)
        many.broker.add_partitions("chain", 2)
        many.broker.append("chain", b"any", NAMED, body["s2"], 2)
        many.broker.append("chain", b"any", NAMED, body["s3"], 3)
        if when == "after a pause":
            many.start(2)
        many.settle()
        imported = {saga_id for saga_id in body if HotelBooked(saga_id) in many.rig.published(saga_id)}
        assert imported == {"s2", "s3"}
    finally:
        many.close()


def test_partitions_without_a_leader_are_counted(rig: Rigs, monkeypatch: pytest.MonkeyPatch) -> None:
    """As the cluster tells at each look; where it does not answer, none of them has one."""
    rigged = rig(agency(), partitions=3)
    described = MemoryBroker.describe

    def told(leaderless: int) -> int:
        monkeypatch.setattr(
            MemoryBroker, "describe", lambda *given: described(*given)._replace(leaderless=leaderless)
        )
        later(rigged)
        return rigged.worker.progress.leaderless

    assert [told(0), told(2)] == [0, 2]
    rigged.broker.stop()
    later(rigged)
    assert rigged.worker.progress.leaderless == 3
    rigged.broker.start()
    assert told(0) == 0


WARNINGS = {
    "retention.ms": "1000",
    "retention.bytes": "1000000",
    "max.message.bytes": "200000",
    "min.insync.replicas": "4",
    "unclean.leader.election.enable": "true",
    "message.timestamp.type": "CreateTime",
}


@pytest.mark.parametrize("setting", WARNINGS)
def test_anything_else_is_a_warning_once_for_each_change(
    rig: Rigs, caplog: pytest.LogCaptureFixture, setting: str
) -> None:
    """At the start and while it runs; mended and spoilt again, it is told again."""
    rigged = rig(agency())
    rigged.broker.configure("trip", {setting: WARNINGS[setting]})
    later(rigged)
    assert caplog.text.count(f"trip: {setting} is {WARNINGS[setting]}, not ") == 1
    rigged.broker._settings["trip"].clear()
    later(rigged)
    rigged.broker.configure("trip", {setting: WARNINGS[setting]})
    later(rigged)
    assert caplog.text.count(f"trip: {setting} is {WARNINGS[setting]}, not ") == 2
    rigged.restart()
    assert caplog.text.count(f"trip: {setting} is {WARNINGS[setting]}, not ") == 3


@pytest.mark.parametrize("running", [True, False])
def test_partitions_that_were_added_are_told_and_acted_on(
    each_store: str, rig: Rigs, caplog: pytest.LogCaptureFixture, running: bool
) -> None:
    """Also by a participant that acts from the latest position: they hold events of sagas in flight."""
    rigged = rig(hotel(), options=Options(idle_seconds=0.0, start="latest"))
    rigged.feed(TripRequested("t"))
    if not running:
        rigged.close()
    rigged.broker.add_partitions("trip", 3)
    sagas = [f"s{number}" for number in range(2, 10)]
    for saga_id in sagas:
        rigged.append(TripRequested("t"), saga_id)
    if not running:
        rigged.begin()
    rigged.settle()
    later(rigged)
    assert caplog.text.count("trip: number of partitions is 4, not 1: events of sagas in flight") == 1
    assert {saga_id: rigged.effects(saga_id) for saga_id in sagas} == {each: ["action"] for each in sagas}
    rigged.restart()
    told_again = running and in_postgresql()  # where workers share a store it is noted at a start
    assert caplog.text.count("number of partitions is") == 1 + told_again


def test_an_outage_at_a_look_is_waited_out(rig: Rigs) -> None:
    """At a start it ends the worker, as nothing may be published before the topics were seen."""
    rigged = rig(agency())
    rigged.broker.stop()
    later(rigged)
    rigged.broker.start()
    begin(rigged, "s1")
    rigged.settle()
    assert rigged.published() == [TripRequested("t")]


def test_the_topics_and_the_longest_spans_of_participants() -> None:
    """Of all who are given; a topic that is one's saga and another's import is a saga's."""
    needs = topic_needs([agency(), hotel(timeout=timedelta(days=2)), office(booked()), exporting()])
    assert [(each.topic, each.use) for each in needs] == [("trip", "saga"), ("chain", "import")]
    assert needs[0].span >= timedelta(days=2)
    assert topic_needs([exporting()])[1] == TopicNeed("chain", "export")


@pytest.mark.parametrize("offset", [0, 5])
def test_a_store_of_before_takes_the_topic_as_it_is(rig: Rigs, offset: int) -> None:
    """Its positions have no id: from the next start on they have."""
    rigged = rig(hotel())
    rigged.feed(*[TripRequested("t")] * offset)
    with rigged.store.turn():
        rigged.store.db.execute("update positions set topic_id = ''")
    rigged.restart()
    assert rigged.store.topics() == {"trip": "trip-1"}
    make_anew(rigged.broker, records=20)
    rigged.close()
    with pytest.raises(StoreMismatch, match="its id is trip-2, that of the store's positions trip-1"):
        rigged.begin()
    rigged.close()
