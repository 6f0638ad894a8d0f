"""What is acknowledged is in the topic, also where the broker refuses a partition's first batch."""

from __future__ import annotations

import time

import pytest

from choreo.ports import Publication
from tests.broker.any_broker import KafkaCluster, unique
from tests.broker.unready import Unready
from tests.kafka.recording_reader import DEADLINE, RecordingReader


@pytest.mark.kafka
@pytest.mark.parametrize("count", [2, 6])
def test_a_batch_that_was_refused_is_not_taken_as_written(
    kafka_bootstrap: str, topic: str, count: int
) -> None:
    """The broker takes any batch as the first of a producer that it doesn't know."""
    cluster = KafkaCluster(kafka_bootstrap, embedded=False)
    cluster.create_topic(topic)
    with Unready(kafka_bootstrap, topic) as way:
        behind = KafkaCluster(way.address, embedded=False)
        log = behind.log(unique("group"))
        values = [str(number).encode() for number in range(count)]
        acknowledged: list[int] = []
        for seq, value in enumerate(values):
            log.publish([Publication(seq, topic, b"saga", [], value)])
            way.sent.acquire(
                timeout=DEADLINE if seq == 0 else 0.1
            )  # each in a batch of its own, if it may be
        deadline = time.monotonic() + DEADLINE
        while len(acknowledged) < count:
            assert time.monotonic() < deadline, "no acknowledgement came"
            acknowledged += log.flush(1.0)
        behind.close()
    seen = RecordingReader(cluster.log(unique("group")), topic).subscribe().until_ended()
    assert acknowledged == list(range(count))
    assert [each.value for each in seen.records] == values
    cluster.close()
