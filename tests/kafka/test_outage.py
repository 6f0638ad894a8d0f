"""The cluster goes away and comes back: everybody waits, nothing is lost, no order changes.

`make kills` has it go away in every way.
"""

from __future__ import annotations

import logging
import time
from typing import Any

import pytest

from tests.broker.any_broker import KafkaCluster, unique
from tests.broker.kafka import Broker
from tests.kafka.recording_reader import RecordingReader, publications

# One after the other, on one broker.
pytestmark = [pytest.mark.kafka, pytest.mark.xdist_group("outage")]


def slow(how: str) -> Any:
    """Return a way that is left out of `make test`."""
    return pytest.param(how, marks=pytest.mark.slow)


@pytest.mark.parametrize("how", [slow("stop"), "kill", slow("pause")])
def test_an_outage_is_waited_out(kafka_broker_of_module: Broker, topic: str, how: str) -> None:
    """What was published before and during it is acknowledged and read afterwards, in order."""
    cluster = KafkaCluster(kafka_broker_of_module.bootstrap, embedded=False)
    cluster.create_topic(topic)
    seen = RecordingReader(cluster.log(unique("group"), "worker-1"), topic).subscribe().until_ended()
    seen.log.publish(publications(topic, 100))
    getattr(kafka_broker_of_module, how)()
    seen.log.publish(publications(topic, 100, first=100))
    until = time.monotonic() + 3
    seen.until(lambda: time.monotonic() > until)
    kafka_broker_of_module.resume() if how == "pause" else kafka_broker_of_module.start()
    seen.until(lambda: len(seen.acknowledged) == 200)
    seen.until(lambda: len({each.value for each in seen.records}) == 200)
    for key in range(10):
        first_seen = dict.fromkeys(seen.values(f"saga-{key}".encode()))
        assert list(first_seen) == [str(n).encode() for n in range(key, 200, 10)]
    cluster.close()


@pytest.mark.parametrize("how", [slow("kill"), "pause"])
def test_an_outage_is_told_once_and_does_not_keep_a_worker_from_ending(
    kafka_broker_of_module: Broker, topic: str, how: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The clients try to connect many times a second, and wait for answers that never come."""
    cluster = KafkaCluster(kafka_broker_of_module.bootstrap, embedded=False)
    cluster.create_topic(topic)
    seen = RecordingReader(cluster.log(unique("group"), "worker-1"), topic).subscribe().until_ended()
    with caplog.at_level(logging.INFO, "choreo.kafka"):
        getattr(kafka_broker_of_module, how)()
        seen.log.publish(publications(topic, 100))
        until = time.monotonic() + 5
        seen.until(lambda: time.monotonic() > until)
    assert len(caplog.records) <= 1, caplog.text
    began = time.monotonic()
    seen.log.flush(1.0)
    seen.log.close()
    assert time.monotonic() - began < 6
    kafka_broker_of_module.resume() if how == "pause" else kafka_broker_of_module.start()


def test_a_worker_that_comes_back_with_the_cluster_waits_for_its_partitions(
    kafka_broker_of_module: Broker, topic: str
) -> None:
    """The cluster stops between joining the group and the first question about a partition."""
    cluster = KafkaCluster(kafka_broker_of_module.bootstrap, embedded=False)
    cluster.create_topic(topic)
    seen = RecordingReader(cluster.log(unique("group")), topic).subscribe()
    kafka_broker_of_module.kill()
    until = time.monotonic() + 2
    seen.until(lambda: time.monotonic() > until)
    kafka_broker_of_module.start()
    seen.until_ended()
    cluster.close()
