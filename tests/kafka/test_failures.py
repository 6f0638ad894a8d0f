"""What waiting can't help: the log ends with an error, and nothing overtakes what failed."""

from __future__ import annotations

import time
from contextlib import closing

import pytest
from confluent_kafka import KafkaError, Message
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from choreo.errors import LogError
from choreo.kafka import EmbeddedBroker, KafkaLog
from choreo.kafka.consumer import KafkaConsumer
from choreo.kafka.producer import KafkaProducer
from choreo.ports import Log, Publication
from tests.broker.any_broker import KafkaCluster, unique
from tests.broker.kafka import Broker
from tests.kafka.recording_reader import DEADLINE, RecordingReader, publish


def _until_raised(log: Log) -> None:
    deadline = time.monotonic() + DEADLINE
    while time.monotonic() < deadline:
        log.take(100, 0.05)


def test_a_publication_too_large_for_any_request_ends_the_log(embedded_broker: EmbeddedBroker) -> None:
    """It is refused before it is sent, and so is all that comes after it."""
    log = KafkaLog(embedded_broker.bootstrap, "g", embedded=True)
    with pytest.raises(LogError, match=r"could not publish to large.*\(hint: keep large data elsewhere"):
        log.publish(
            [Publication(1, "large", b"k", [], b"x" * 2_000_000), Publication(2, "large", b"k", [], b"")]
        )
    for again in (lambda: log.take(1, 0), lambda: log.flush(0), lambda: log.publish([])):
        with pytest.raises(LogError, match="could not publish to large"):
            again()
    log.close()


def _publish_on(log: Log, topic: str) -> None:
    """Publish more of the same key, as a worker does that knows of nothing yet."""
    for seq in range(4, 2000):
        log.publish([Publication(seq, topic, b"saga-0", [], b"later")])
        log.take(1, 0)
    log.flush(10)


@pytest.mark.kafka
def test_nothing_overtakes_what_the_broker_refused(kafka_bootstrap: str, topic: str) -> None:
    """The topic's own limit is found out by the broker, while what follows is already on its way."""
    admin = AdminClient({"bootstrap.servers": kafka_bootstrap})
    limited = NewTopic(topic, 1, 1, config={"max.message.bytes": "2000"})
    admin.create_topics([limited])[topic].result(10)
    cluster = KafkaCluster(kafka_bootstrap, embedded=False)
    log = cluster.log(unique("group"))
    publish(log, topic, 3, keys=1)
    log.publish([Publication(3, topic, b"saga-0", [], b"x" * 5000)])
    with pytest.raises(LogError, match=r"could not publish.*\(hint: keep large data elsewhere"):
        _publish_on(log, topic)
    seen = RecordingReader(cluster.log(unique("group")), topic).subscribe().until_ended(1)
    assert [each.value for each in seen.records] == [b"0", b"1", b"2"]
    cluster.close()


def test_the_refused_publication_is_told_not_what_was_thrown_away_behind_it() -> None:
    """A fatal error throws away what is queued, and librdkafka may report that first."""
    writer = KafkaProducer({"bootstrap.servers": "127.0.0.1:1", "log_level": 0})
    for code in (KafkaError._PURGE_QUEUE, KafkaError.MSG_SIZE_TOO_LARGE, KafkaError._PURGE_INFLIGHT):
        writer._report(1, "large")(KafkaError(code), Message())
    with pytest.raises(LogError, match=r"could not publish to large.*hint: keep large data elsewhere"):
        writer.acknowledged()
    writer.close()


@pytest.mark.kafka
def test_a_topic_that_does_not_exist_is_told(kafka_bootstrap: str, topic: str) -> None:
    """With the command that makes it."""
    log = KafkaLog(kafka_bootstrap, "g", settings={"topic.metadata.propagation.max.ms": 500})
    with pytest.raises(LogError, match="hint: create it with `choreo topics create`"):
        log.subscribe([topic], lambda _: [], lambda _: None)
    log.publish([Publication(1, topic, b"k", [], b"")])
    with pytest.raises(LogError, match="hint: create it with `choreo topics create`"):
        _until_raised(log)
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
@pytest.mark.slow
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
