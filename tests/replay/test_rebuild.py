"""Rebuilding: who lost a database gets the saga log, and its place in every saga, from the topic."""

from __future__ import annotations

import random
import sqlite3
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from choreo.avro import AvroCodec
from choreo.errors import ReplayError, StoreMismatch
from choreo.kafka import EmbeddedBroker
from choreo.kafka.topic_reader import TopicReader
from choreo.participant import Participant
from choreo.protocol.decisions import FOREIGN_OUTCOME
from choreo.records import Entry, Partition
from choreo.replay.observers import observe
from choreo.replay.rebuild import Rebuilt, rebuild
from choreo.store.sqlite.migrations import TABLES
from examples.bank.contract import bank_transfer
from examples.bank.source import request_transfer
from examples.orders.contract import order_fulfilment
from examples.travel.contract import trip
from tests.broker.any_broker import InMemoryBroker, KafkaCluster
from tests.replay.memory_topics import MemoryTopics
from tests.replay.watching import differences
from tests.scenarios import bank, trips
from tests.scenarios.bank import Bank
from tests.scenarios.shop import PARTICIPANTS, Shop, compensated, scenarios
from tests.scenarios.test_travel import play
from tests.scenarios.trips import every_plan, in_memory, travelling
from tests.stores import open_store
from tests.worker.conftest import Rigs
from tests.worker.rig import ManualClock
from tests.worker.services import hotel
from tests.worker.test_imports import booked, office, opened, told
from tests.worker.trip import FlightFull, HotelBooked, HotelCancelled, TripRequested

NOT_IN_THE_TOPIC = {"recorded_at": 0, "note": "", "kind": ""}
LOCAL = ("begin", "deferred", "buried", "requeued", "discarded")
"""What only the lost file knew: attempts, and what became of them."""


def rebuilt(participant: Participant, broker: Any, path: Path, **options: Any) -> Rebuilt:
    """Rebuild into a file, and check that its logs hold together."""
    with closing(open_store(path)) as store:
        result = rebuild(participant, store, MemoryTopics(broker, participant), 0, **options)
        assert result.left == []
        return result


def determined(entries: Sequence[Entry]) -> Counter[Entry]:
    """Return the rows of a saga that the topic determines, without what it doesn't tell."""
    rows: Counter[Entry] = Counter()
    began: set[str] = set()
    for entry in entries:
        if entry.input in ("begin", "deferred"):
            began.add(entry.step)
        if entry.input not in LOCAL and not entry.is_remark:
            row = entry._replace(**NOT_IN_THE_TOPIC)  # type: ignore[arg-type]
            if row.step in began and row.old_state == "executing" and row.input == "ended":
                row = row._replace(old_state="pending")  # that it was called first, only the file knew
            rows[row if row.input == "event" else row._replace(saga_state="")] += 1
    return rows


def folded(entries: Sequence[Entry], owner: str) -> list[Entry]:
    """Return the events of the log; where an own step stood meanwhile depends on when its call ended."""
    rows = [entry._replace(recorded_at=0) for entry in entries if entry.input == "event"]
    return [
        row._replace(old_state="", new_state="") if row.step.startswith(f"{owner}.") else row for row in rows
    ]


def published(entries: Sequence[Entry]) -> set[str]:
    """Return what was published from here."""
    return {entry.event_id for entry in entries if entry.event_id and entry.input != "event"}


@pytest.mark.parametrize("lost", PARTICIPANTS, ids=lambda each: each.name)
def test_the_rebuilt_log_is_the_lost_one(
    tmp_path: Path, topic: str, monkeypatch: pytest.MonkeyPatch, lost: Participant
) -> None:
    """In every row that the topic determines, for every failure index."""
    monkeypatch.setattr(order_fulfilment, "topic", topic)
    memory = InMemoryBroker()
    with closing(Shop(memory, tmp_path)) as shop:
        ids = [shop.place(each.order) for each in scenarios()]
        shop.until_quiet(ids)
        result = rebuilt(lost, memory.broker, tmp_path / "new.db")
        assert result.due == {}
        with closing(open_store(tmp_path / "new.db")) as store:
            for saga_id in ids:
                old, new = shop.history(lost.name, saga_id), store.history(saga_id)
                assert determined(new) == determined(old)
                assert new[-1].saga_state == old[-1].saga_state
                assert all(each.note for each in new if each.input != "event")
                assert differences(lost, store, saga_id) == []
            assert store.positions() == shop.stores[lost.name].positions()
            assert (store.next_due(), store.unpublished(0, 9)) == (None, [])
            assert store.saga_log is not None


@pytest.mark.parametrize("fails_at", ["", *bank.STEPS])
def test_the_rebuilt_log_of_a_bank_is_the_lost_one(
    tmp_path: Path, topic: str, monkeypatch: pytest.MonkeyPatch, fails_at: str
) -> None:
    monkeypatch.setattr(bank_transfer, "topic", topic)
    memory = InMemoryBroker()
    with closing(Bank(memory, tmp_path, topic)) as banks:
        banks.until_quiet([request_transfer(bank.transfer("t", 100, fails_at))])
        for lost in bank.PARTICIPANTS:
            rebuilt(lost, memory.broker, tmp_path / f"{lost.name}.new")
            with closing(open_store(tmp_path / f"{lost.name}.new")) as store:
                assert determined(store.history("t")) == determined(banks.history(lost.name, "t"))


def test_the_rebuilt_logs_of_trips_are_the_lost_ones(
    tmp_path: Path, topic: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whose branches are slow, late, full, cancelled; with calls, joins and deadlines of both sides."""
    monkeypatch.setattr(trip, "topic", topic)
    clock = ManualClock()
    plans = random.Random(7).sample(every_plan(), 60)
    memory = in_memory(clock)
    with travelling(memory, tmp_path, topic, plans, clock) as stage:
        play(stage)
        for lost in trips.PARTICIPANTS:
            path = tmp_path / f"{lost.name}.new"
            assert rebuilt(lost, memory.broker, path).due == {}
            with closing(open_store(path)) as store:
                for plan in plans:
                    old, new = stage.history(lost.name, plan.trip_id), store.history(plan.trip_id)
                    assert folded(new, lost.name) == folded(old, lost.name)
                    assert published(new) == published(old)
                    assert new[-1].saga_state == plan.end


@pytest.mark.parametrize("seed", range(8))
def test_sagas_in_flight_go_on(
    tmp_path: Path, topic: str, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    """Anybody loses its file at any moment, and goes on with a rebuilt one and a backup of its tables."""
    monkeypatch.setattr(order_fulfilment, "topic", topic)
    chance, memory = random.Random(seed), InMemoryBroker()
    with closing(Shop(memory, tmp_path)) as shop:
        placed = {shop.place(each.order): each for i in range(2) for each in scenarios(f"o{i}")}
        for _ in range(chance.randint(0, 60)):
            shop.workers[chance.choice(PARTICIPANTS).name].turn()
        lost = chance.choice(PARTICIPANTS)
        while shop.stores[lost.name].unpublished(0, 1):  # what it did was published: the backup is as late
            shop.workers[lost.name].turn()
        shop.workers.pop(lost.name)._log.close()
        shop.stores.pop(lost.name).close()
        (tmp_path / f"{lost.name}.db").rename(tmp_path / "backup.db")
        rebuilt(lost, memory.broker, tmp_path / f"{lost.name}.db")
        restore(tmp_path / "backup.db", tmp_path / f"{lost.name}.db")
        shop.open(lost)
        shop.until_quiet(list(placed))
        for saga_id, scenario in placed.items():
            assert shop.ends(saga_id) == {"failed" if scenario.fails_at else "completed"}
            for name in shop.stores:
                assert tuple(compensated(shop.history(name, saga_id))) == scenario.undone
        balance = shop.balance()
        if lost.name not in ("orders", "notifications"):  # whose observers are not run again
            shop.assert_balance(fulfilled=sum(not each.fails_at for each in placed.values()))
        assert balance["money"] + balance["stock"] > 0


def test_sagas_in_flight_go_on_where_kafka_speaks(
    tmp_path: Path, topic: str, monkeypatch: pytest.MonkeyPatch, embedded_broker: EmbeddedBroker
) -> None:
    """The topics are read from a broker, by nobody's group."""
    monkeypatch.setattr(order_fulfilment, "topic", topic)
    cluster, lost = KafkaCluster(embedded_broker.bootstrap, embedded=True), PARTICIPANTS[2]
    with closing(cluster), closing(Shop(cluster, tmp_path)) as shop:
        ended = [shop.place(each.order) for each in scenarios("a")]
        shop.until_quiet(ended)
        placed = [shop.place(each.order) for each in scenarios("b")]
        shop.until(lambda: all(shop.history("inventory", saga_id) for saga_id in placed))
        shop.workers.pop(lost.name)._log.close()
        old = {saga_id: shop.history(lost.name, saga_id) for saga_id in ended}
        shop.stores.pop(lost.name).close()
        (tmp_path / f"{lost.name}.db").rename(tmp_path / "backup.db")
        with (
            TopicReader(cluster.bootstrap, lost.topics) as reader,
            closing(open_store(tmp_path / f"{lost.name}.db")) as store,
        ):
            rebuild(lost, store, reader, 0)
            for saga_id in ended:
                assert determined(store.history(saga_id)) == determined(old[saga_id])
        restore(tmp_path / "backup.db", tmp_path / f"{lost.name}.db")
        shop.group = f"{topic}-anew"  # the group of before is the lost store's
        shop.open(lost)
        shop.until_quiet([*ended, *placed], 60)
        shop.assert_balance(fulfilled=4)


def restore(backup: Path, path: Path) -> None:
    """Put back a service's own tables, as its own backup would."""
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("attach ? as old", [str(backup)])
        ours = set(TABLES)
        for name, sql in connection.execute(
            "select name, sql from old.sqlite_schema where type = 'table' and name not like '%sqlite%'"
        ).fetchall():
            if name not in ours and not name.startswith("_"):
                connection.execute(sql)
                connection.execute(f"insert into main.{name} select * from old.{name}")
        connection.commit()


def test_an_interrupted_rebuild_goes_on_where_it_stopped(
    tmp_path: Path, topic: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And a worker that starts on half of it does nothing again that lies ahead."""
    from tests.replay.conftest import saved

    monkeypatch.setattr(order_fulfilment, "topic", topic)
    monkeypatch.setattr("choreo.replay.rebuild._BATCH", 7)
    memory, lost, path = InMemoryBroker(), PARTICIPANTS[1], tmp_path / "new.db"

    class Stopped(Exception):
        pass

    def stop(count: int) -> None:
        rounds.append(count)
        if sum(rounds) > len(memory.broker.records()):  # in the second pass
            raise Stopped

    with closing(Shop(memory, tmp_path)) as shop:
        ids = [shop.place(each.order) for each in scenarios()]
        shop.until_quiet(ids)
        records = memory.broker.records()
        rounds: list[int] = []
        with pytest.raises(Stopped):
            rebuilt(lost, memory.broker, path, progress=stop)
        with closing(open_store(path)) as store:
            assert 0 < sum(store.positions().values()) < sum(shop.stores[lost.name].positions().values())
        shop.workers.pop(lost.name)._log.close()
        shop.stores.pop(lost.name).close()
        (tmp_path / f"{lost.name}.db").rename(tmp_path / "backup.db")
        path.rename(tmp_path / f"{lost.name}.db")
        half = saved(tmp_path / f"{lost.name}.db")
        shop.open(lost)
        letters = list(shop.stores[lost.name].dead_letters())
        assert {each.reason for each in letters} == {FOREIGN_OUTCOME}
        assert memory.broker.records() == records
        shop.workers.pop(lost.name)._log.close()
        shop.stores.pop(lost.name).close()
        for file in tmp_path.glob(f"{lost.name}.db*"):
            file.unlink()
        half.rename(tmp_path / f"{lost.name}.db")
        rebuilt(lost, memory.broker, tmp_path / f"{lost.name}.db")
        shop.open(lost)
        with closing(open_store(tmp_path / "backup.db")) as old:
            for saga_id in ids:
                assert determined(shop.history(lost.name, saga_id)) == determined(old.history(saga_id))


def test_an_old_backup_is_brought_up_to_date(
    tmp_path: Path, topic: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file as it once was, in the midst of everything: what came after is taken from the topic."""
    from tests.replay.conftest import saved

    monkeypatch.setattr(order_fulfilment, "topic", topic)
    memory = InMemoryBroker()
    with closing(Shop(memory, tmp_path)) as shop:
        ids = [shop.place(each.order) for each in scenarios()]
        for _ in range(2):
            for worker in shop.workers.values():
                worker.turn()
        backups = {each.name: saved(tmp_path / f"{each.name}.db") for each in PARTICIPANTS}
        shop.until_quiet(ids)
        for lost in PARTICIPANTS:
            result = rebuilt(lost, memory.broker, backups[lost.name])
            assert (result.due, result.counts["events"] > 0) == ({}, True)
            with closing(open_store(backups[lost.name])) as store:
                for saga_id in ids:
                    old, new = shop.history(lost.name, saga_id), store.history(saga_id)
                    assert determined(new) == determined(old)
                    assert differences(lost, store, saga_id) == []


def test_a_store_of_another_cluster_or_participant_is_refused(
    tmp_path: Path, topic: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(order_fulfilment, "topic", topic)
    memory = InMemoryBroker()
    with closing(Shop(memory, tmp_path)) as shop:
        shop.until_quiet([shop.place(scenarios()[0].order)])
        with pytest.raises(StoreMismatch, match="belongs to the participant 'orders'"):
            rebuilt(PARTICIPANTS[1], memory.broker, tmp_path / "orders.db")
        with pytest.raises(StoreMismatch, match="the store stands at offset"):
            rebuilt(PARTICIPANTS[1], InMemoryBroker().broker, tmp_path / "inventory.db")


def test_observers_are_run_again_into_fresh_tables(
    tmp_path: Path, topic: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All of them, in the order of the log, or none: one that fails changes nothing."""
    monkeypatch.setattr(order_fulfilment, "topic", topic)
    memory, lost, path = InMemoryBroker(), PARTICIPANTS[4], tmp_path / "new.db"
    with closing(Shop(memory, tmp_path)) as shop:
        shop.until_quiet([shop.place(each.order) for each in scenarios()])
        rebuilt(lost, memory.broker, path)
        with closing(open_store(path)) as store:
            codec = AvroCodec(lost.events)
            assert observe(lost, store, codec) == 3
            mails = "select * from mails where subject = 'cancelled' order by order_id"
            assert list(store.db.query(mails)) == list(shop.stores[lost.name].db.query(mails))
            store.db.execute("delete from mails where order_id = 'o-reserve'")
            with pytest.raises(ReplayError, match=r"can't observe shop.OrderFailed of saga o-.*Integrity"):
                observe(lost, store, codec)
            assert len(list(store.db.query(mails))) == 2


def test_what_lies_before_a_participant_s_beginning_is_not_made_up_for(
    tmp_path: Path, topic: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``--from`` means the same as when it first ran."""
    monkeypatch.setattr(order_fulfilment, "topic", topic)
    memory, late = InMemoryBroker(), PARTICIPANTS[1]
    with closing(Shop(memory, tmp_path)) as shop:
        shop.workers.pop(late.name)._log.close()
        saga_id = shop.place(scenarios()[0].order)
        shop.until(lambda: bool(shop.history("payments", saga_id)))
        moment = datetime.fromtimestamp(memory.broker.records()[-1].timestamp / 1000 + 1, UTC)
        expected = {"action inventory.reserve_inventory": 1}
        starts: dict[str, Any] = {"earliest": expected, "latest": {}}
        for start, due in starts.items():
            assert rebuilt(late, memory.broker, tmp_path / f"{start}.new", start=start).due == due
        assert rebuilt(late, memory.broker, tmp_path / "moment.new", start=moment).due == {}
        moment = datetime.fromtimestamp(0, UTC)
        assert rebuilt(late, memory.broker, tmp_path / "epoch.new", start=moment).due == expected


def test_what_was_imported_is_imported_once(rig: Rigs, tmp_path: Path) -> None:
    """Its copy is in the saga's topic: reading the other topic again changes nothing."""
    office_ = office(booked())
    rigged = opened(rig, office_)
    with office_.transaction() as tx:
        saga_id = tx.start(TripRequested("t"), saga_id="t")
    rigged.settle()
    told(rigged, HotelBooked("t"))
    old, records = rigged.history(saga_id), len(rigged.records())
    rigged.close()
    rigged.path.rename(tmp_path / "lost.db")
    assert rebuilt(office_, rigged.broker, rigged.path).due == {}
    rigged.open()
    assert determined(rigged.history(saga_id)) == determined(old)
    assert len(rigged.records()) == records
    assert differences(office_, rigged.store, saga_id) == []


def test_a_saga_whose_beginning_the_topic_has_lost_is_passed_over(rig: Rigs, tmp_path: Path) -> None:
    """Nobody can say what was done in it; whoever asks for more gets a dead letter, and the others go on."""
    rigged = rig(hotel())
    rigged.feed(TripRequested("t"))
    rigged.feed(TripRequested("u"), saga_id="s2")
    rigged.broker.forget(Partition("trip", 0), 1)
    rigged.close()
    rigged.path.rename(tmp_path / "lost.db")
    result = rebuilt(hotel(), rigged.broker, rigged.path)
    assert (result.due, result.counts["forgotten"], result.counts["own outcomes"]) == ({}, 1, 1)
    rigged.open()
    rigged.feed(FlightFull("u", "full"), saga_id="s2")
    assert rigged.published("s2") == [HotelBooked("u"), HotelCancelled("u")]


def test_an_outcome_that_nothing_explains_puts_its_saga_in_quarantine(rig: Rigs, tmp_path: Path) -> None:
    """Somebody else wrote it, or another release of the service did; the other sagas are rebuilt."""
    rigged = rig(hotel())
    rigged.feed(TripRequested("t"))
    rigged.append(HotelCancelled("t"), source="hotel")
    rigged.feed(TripRequested("u"), saga_id="s2")
    rigged.close()
    result = rebuilt(hotel(), rigged.broker, tmp_path / "new.db")
    assert (result.counts["foreign outcomes"], result.counts["own outcomes"]) == (1, 2)
    with closing(open_store(tmp_path / "new.db")) as store:
        assert [(each.saga_id, each.reason) for each in store.dead_letters()] == [("s1", FOREIGN_OUTCOME)]
