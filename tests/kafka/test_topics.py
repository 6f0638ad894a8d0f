"""Making the topics: once, never changed afterwards."""

from __future__ import annotations

import pytest

from choreo.errors import LogError
from choreo.kafka import create_topics
from tests.broker.any_broker import KafkaCluster, unique
from tests.kafka.recording_reader import RecordingReader


@pytest.mark.kafka
def test_topics_are_made_once(kafka_bootstrap: str, caplog: pytest.LogCaptureFixture) -> None:
    """What exists is fine; another number of partitions is told, and left as it is."""
    old, new = unique("topic"), unique("topic")
    assert create_topics(kafka_bootstrap, [old], 3, 1) == [old]
    assert create_topics(kafka_bootstrap, [old, new, new], 3, 1) == [new]
    assert caplog.text == ""
    assert create_topics(kafka_bootstrap, [old], 6, 1) == []
    assert f"topic {old} has 3 partitions, not 6" in caplog.text
    cluster = KafkaCluster(kafka_bootstrap, embedded=False)
    assert len(RecordingReader(cluster.log(unique("group")), old).subscribe().until_ended(3).assigned) == 3
    cluster.close()


@pytest.mark.kafka
def test_what_the_cluster_refuses_is_told(kafka_bootstrap: str) -> None:
    """One broker can't hold three replicas; a name has its rules."""
    name = unique("topic")
    with pytest.raises(LogError, match=f"could not create topic {name}: .*eplication"):
        create_topics(kafka_bootstrap, [name], 1, 3)
    with pytest.raises(LogError, match="could not create topic a/b"):
        create_topics(kafka_bootstrap, ["a/b"], 1, 1)


def test_an_unreachable_cluster_is_told() -> None:
    """Instead of waiting for ever."""
    with pytest.raises(LogError, match="could not ask for the topics"):
        create_topics("127.0.0.1:1", ["t"], 1, 1, settings={"socket.connection.setup.timeout.ms": 1000})
