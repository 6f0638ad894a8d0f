"""The topic reader: topics read from their beginning to their present end, outside of any group."""

from __future__ import annotations

import time
from contextlib import closing

import pytest
from confluent_kafka import Producer

from choreo.errors import ConfigurationError, LogError
from choreo.kafka import EmbeddedBroker
from choreo.kafka.topic_reader import TopicReader
from choreo.records import Partition
from tests.broker.any_broker import AnyBroker, KafkaCluster

BROKERS = pytest.mark.parametrize(
    "any_broker", ["embedded", pytest.param("kafka", marks=pytest.mark.kafka)], indirect=True
)


def produce(cluster: KafkaCluster, topic: str, count: int) -> None:
    """Append records with the numbers from 0 on."""
    producer = Producer({"bootstrap.servers": cluster.bootstrap, "partitioner": "murmur2_random"})
    for number in range(count):
        headers = [("n", b"%d" % number)]
        producer.produce(topic, b"%d" % number, b"saga-%d" % (number % 50), headers=headers)
    assert producer.flush(20) == 0


@BROKERS
def test_every_record_comes_once_in_the_order_of_its_partition(any_broker: AnyBroker, topic: str) -> None:
    """Twice where it is asked twice; from an offset on where one is given."""
    assert isinstance(any_broker, KafkaCluster)
    any_broker.create_topic(topic)
    produce(any_broker, topic, 2_000)
    with TopicReader(any_broker.bootstrap, [topic]) as reader:
        produce(any_broker, topic, 10)  # comes too late
        for _ in range(2):
            records = list(reader.records())
            assert sorted(int(each.value or b"") for each in records) == list(range(2_000))
            for number in range(4):
                offsets = [each.offset for each in records if each.partition == number]
                assert offsets == sorted(offsets)
        assert sum(each.high - each.low for each in reader.partitions) == 2_000
        assert records[0].headers == [("n", records[0].value)]
        begin = {each.partition: each.high - 1 for each in reader.partitions if each.high}
        assert len(list(reader.records(begin))) == len(begin)
        assert list(reader.records({Partition(topic, 0): reader.partitions[0].high})) == []


@BROKERS
def test_an_empty_topic_is_read_at_once(any_broker: AnyBroker, topic: str) -> None:
    assert isinstance(any_broker, KafkaCluster)
    any_broker.create_topic(topic)
    begun = time.monotonic()
    settings = {"allow.auto.create.topics": True}  # the embedded broker makes it when it is asked for
    with TopicReader(any_broker.bootstrap, [topic], settings) as reader:
        assert list(reader.records()) == []
        assert len(reader.partitions) == 4
        assert reader.cluster_id
    assert time.monotonic() - begun < 10


@pytest.mark.kafka
def test_a_topic_that_is_not_there_is_an_error(kafka_bootstrap: str, topic: str) -> None:
    with pytest.raises(LogError, match=f"could not read {topic}"):
        TopicReader(kafka_bootstrap, [topic])


def test_a_cluster_that_does_not_answer_is_an_error() -> None:
    with EmbeddedBroker() as broker:
        address = broker.bootstrap
    with pytest.raises(LogError, match="could not read the topics"):
        TopicReader(address, ["t"])


def test_settings_that_the_promise_depends_on_are_refused() -> None:
    with (
        pytest.raises(ConfigurationError),
        closing(TopicReader("localhost:1", ["t"], {"isolation.level": "x"})),
    ):
        pass
