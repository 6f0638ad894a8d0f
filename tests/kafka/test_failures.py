"""What waiting can't help: the log ends with an error, and nothing overtakes what failed."""

from __future__ import annotations

import time
from contextlib import closing

import pytest
from confluent_kafka import KafkaError
from confluent_kafka.admin import AdminClient

from choreo.errors import LogError
from choreo.kafka import KafkaLog
from choreo.kafka.consumer import KafkaConsumer
from choreo.ports import Log, Publication
from tests.broker.any_broker import KafkaCluster, unique
from tests.broker.kafka import Broker
from tests.kafka.recording_reader import DEADLINE, RecordingReader


def _until_raised(log: Log) -> None:
    deadline = time.monotonic() + DEADLINE
    while time.monotonic() < deadline:
        log.take(100, 0.05)


@pytest.mark.kafka
def test_a_topic_that_does_not_exist_is_told(kafka_bootstrap: str, topic: str) -> None:
    """With the command that makes it."""
    log = KafkaLog(kafka_bootstrap, "g", settings={"topic.metadata.propagation.max.ms": 500})
    with pytest.raises(LogError, match="hint: create it with `choreo topics create`"):
        log.subscribe([topic], lambda _: [], lambda _: None)
    log.close()


@pytest.mark.kafka
def test_a_topic_that_is_deleted_is_told(kafka_bootstrap: str, topic: str) -> None:
    """The worker stops; it does not wait for ever for a topic that is gone."""
    cluster = KafkaCluster(kafka_bootstrap, embedded=False)
    cluster.create_topic(topic)
    log = cluster.log(unique("group"), topic_metadata_refresh_interval_ms=500)
    RecordingReader(log, topic).subscribe().until_ended()
    admin = AdminClient({"bootstrap.servers": kafka_bootstrap})
    admin.delete_topics([topic])[topic].result(10)
    with pytest.raises(LogError, match=topic):
        _until_raised(log)
    cluster.close()


@pytest.mark.parametrize("code", [KafkaError._BAD_MSG, KafkaError._BAD_COMPRESSION])
def test_what_the_client_would_skip_ends_the_log(code: int) -> None:
    """The client tells of records that it can't unpack, and goes on behind them: they would be lost."""
    address = {"bootstrap.servers": "127.0.0.1:1", "log_level": 0}
    reader = KafkaConsumer({**address, "group.id": "g", "group.protocol": "classic"})
    with closing(reader), pytest.raises(LogError, match=r"could not read.*hint: .*damaged"):
        reader._sorted([Damaged(code)])  # type: ignore[list-item]


class Damaged:
    """A notice of the client's in the place of records."""

    def __init__(self, code: int) -> None:
        self._error = KafkaError(code)

    def error(self) -> KafkaError:
        """Return what is wrong."""
        return self._error


@pytest.mark.kafka
def test_a_record_that_the_disk_has_spoilt_is_told_and_nothing_is_passed_over(
    kafka_broker: Broker, topic: str
) -> None:
    """One bit of one body, in the broker's file: neither that body is handed on, nor the next one alone."""
    cluster = KafkaCluster(kafka_broker.bootstrap, embedded=False)
    cluster.create_topic(topic, 1)
    for value in (b"before", b"the-spoilt-one", b"after"):  # a batch of its own for each
        publish_one(cluster.log(unique("group")), topic, value)
    kafka_broker.stop()
    (segment,) = kafka_broker.home.glob(f"data/{topic}-0/*.log")
    segment.write_bytes(segment.read_bytes().replace(b"the-spoilt-one", b"the-spoilu-one"))
    kafka_broker.start()
    seen = RecordingReader(cluster.log(unique("group")), topic).subscribe()
    with pytest.raises(LogError, match=r"could not read.*hint: .*damaged"):
        seen.until(lambda: False)
    assert [each.value for each in seen.records] in ([], [b"before"])
    cluster.close()


def publish_one(log: Log, topic: str, value: bytes) -> None:
    """Publish one record, and wait for it."""
    log.publish([Publication(1, topic, b"k", [], value)])
    assert log.flush(DEADLINE) == [1]
