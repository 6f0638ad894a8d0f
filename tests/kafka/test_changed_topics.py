"""Topics of a real cluster that are changed beneath workers, while they run and while they restart."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest
from confluent_kafka import Producer, TopicPartition
from confluent_kafka.admin import (  # type: ignore[attr-defined]
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewPartitions,
    ResourceType,
)
from confluent_kafka.cimpl import NewTopic

import choreo
from choreo import Aborted, Context, External, Participant, Saga, event
from choreo.errors import ChoreoError, LogError, StoreMismatch
from choreo.kafka import KafkaLog, create_topics
from choreo.store.sqlite.store import SQLiteStore
from choreo.worker import Options, Worker, topics
from choreo.worker.composition import open_worker
from tests.broker.any_broker import unique
from tests.kafka.recording_reader import DEADLINE

pytestmark = pytest.mark.kafka


@event(namespace="parcel")
class Posted:
    parcel: str


@event(namespace="parcel")
class Delivered:
    parcel: str
    photo: str = ""


@event(namespace="parcel")
class Returned:
    parcel: str


class Office:
    """A participant of one step on a topic of its own, and the store that it is restarted on."""

    def __init__(self, bootstrap: str, topic: str, folder: Path, export: str = "") -> None:
        self.bootstrap, self.topic, self.store = bootstrap, topic, folder / "office.db"
        self.admin = AdminClient({"bootstrap.servers": bootstrap})
        saga = Saga(topic, starts=Posted, completes=Delivered, fails=Returned, namespaces=("parcel",))
        external = [External(Delivered, topic=export)] if export else []
        self.participant = Participant(unique("office"), sagas=[saga], external=external)

        @self.participant.compensation(of=saga.start)
        def take_back(event: Aborted, posted: Posted, ctx: Context) -> Returned:
            return Returned(posted.parcel)

        @self.participant.action(kind="retriable")
        def deliver(event: Posted, ctx: Context) -> Delivered:
            return Delivered(event.parcel)

    def post(self, *parcels: str) -> None:
        """Start sagas as a web process does."""
        choreo.connect(self.participant, self.store)
        with self.participant.transaction() as tx:
            for parcel in parcels:
                tx.start(Posted(parcel), parcel)

    def run(self, until: Callable[[Worker], bool], change: Callable[[], object] = lambda: None) -> None:
        """Run a worker until a condition holds; once it is live, change something."""
        log = KafkaLog(self.bootstrap, self.participant.name)
        deadline, changed = time.monotonic() + DEADLINE, False
        try:
            with open_worker(self.participant, self.store, log, options=Options()) as worker:
                worker.start()
                while not (changed and until(worker)):
                    worker.turn()
                    if worker.is_live and not changed:
                        change()
                        changed = True
                    assert time.monotonic() < deadline
        finally:
            log.close()

    def completed(self) -> int:
        """Return how many sagas have ended."""
        return self._count("SELECT count(DISTINCT saga_id) FROM saga_log WHERE saga_state = 'completed'")

    def unpublished(self) -> int:
        """Return how many events wait in the outbox."""
        return self._count("SELECT count(*) FROM outbox")

    def _count(self, sql: str) -> int:
        store = SQLiteStore(self.store)
        try:
            return int(store.db.execute(sql).fetchone()[0])
        finally:
            store.close()

    def make_anew(self) -> None:
        """Delete the topic, and make another one under its name."""
        self.admin.delete_topics([self.topic])[self.topic].result(10)
        new, deadline = NewTopic(self.topic, 1, 1), time.monotonic() + DEADLINE
        while True:  # the old name is free only a moment later
            try:
                self.admin.create_topics([new])[self.topic].result(10)
            except choreo.kafka.topics.KafkaException:
                assert time.monotonic() < deadline
            else:
                return

    def configure(self, setting: str, value: str) -> None:
        """Change a setting of the topic."""
        entry = ConfigEntry(setting, value, incremental_operation=AlterConfigOpType.SET)
        resource = ConfigResource(ResourceType.TOPIC, self.topic, incremental_configs=[entry])
        self.admin.incremental_alter_configs([resource])[resource].result(10)


@pytest.fixture
def office(kafka_bootstrap: str, topic: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Office:
    """Return a participant whose worker looks at its topics every second, and has delivered two parcels."""
    monkeypatch.setattr(topics, "INTERVAL", 0.0)
    create_topics(kafka_bootstrap, [topic], 1, 1)
    made = Office(kafka_bootstrap, topic, tmp_path)
    made.post("p-1", "p-2")
    made.run(lambda _: made.completed() == 2 and not made.unpublished())
    return made


@pytest.mark.parametrize("running", [True, False])
def test_the_outbox_is_not_published_to_a_topic_made_anew(office: Office, running: bool) -> None:
    """What was started meanwhile waits in the store, through any number of restarts."""
    if running:
        with pytest.raises(ChoreoError, match=r"made anew|reate it with"):
            office.run(lambda _: False, office.make_anew)
    else:
        office.make_anew()
    office.post(*(f"new-{number}" for number in range(50)))
    for _ in range(3):
        with pytest.raises(StoreMismatch, match="was made anew"):
            office.run(lambda _: False)
    assert office.unpublished() == 50


def test_a_topic_that_becomes_compacted_ends_the_worker_until_it_is_mended(office: Office) -> None:
    """While it runs, and at every start."""
    for _ in range(2):
        with pytest.raises(LogError, match=r"cleanup\.policy is compact,delete, not delete"):
            office.run(lambda _: False, lambda: office.configure("cleanup.policy", "compact,delete"))
    office.configure("cleanup.policy", "delete")
    office.post("p-3")
    office.run(lambda _: office.completed() == 3)


def test_records_that_were_deleted_before_they_were_read_are_told_at_every_start(office: Office) -> None:
    """The position is before the beginning of the log."""
    producer = Producer({"bootstrap.servers": office.bootstrap})
    for _ in range(3):
        producer.produce(office.topic, b"", b"p-3")
    assert producer.flush(DEADLINE) == 0
    place = TopicPartition(office.topic, 0, -1)
    office.admin.delete_records([place])[place].result(10)
    for _ in range(2):
        with pytest.raises(StoreMismatch, match="records deleted before"):
            office.run(lambda _: False)


def test_other_changes_are_warnings(office: Office, caplog: pytest.LogCaptureFixture) -> None:
    """The worker goes on; each is told once."""

    def change() -> None:
        office.admin.create_partitions([NewPartitions(office.topic, 3)])[office.topic].result(10)
        office.configure("retention.bytes", "1000000")
        office.configure("max.message.bytes", "100000")

    def told(_worker: Worker) -> bool:
        settings = ("number of partitions is 3, not 1", "retention.bytes is 1000000", "max.message.bytes is")
        return all(each in caplog.text for each in settings)

    office.run(told, change)
    assert caplog.text.count("retention.bytes is 1000000") == 1
    office.post("p-3", "p-4", "p-5", "p-6")
    office.run(lambda _: office.completed() == 6)


def test_an_export_to_a_missing_topic_is_told_and_holds_up_no_saga(
    kafka_bootstrap: str, topic: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The copies are letters after a few seconds; the sagas end at once."""
    create_topics(kafka_bootstrap, [topic], 1, 1)
    office = Office(kafka_bootstrap, topic, tmp_path, export=unique("missing"))
    office.post("p-1", "p-2")
    office.run(lambda worker: office.completed() == 2)
    assert "topic is missing, not there: its events can't be published" in caplog.text
    office.run(lambda worker: office.unpublished() == 0)
    letters = office._count("SELECT count(*) FROM dead_letters WHERE reason = 'unpublishable'")
    assert letters == 2
