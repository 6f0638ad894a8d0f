"""Making the topics, once and as sagas need them, and describing them as they are."""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import Future
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient, ConfigResource, ResourceType
from confluent_kafka.cimpl import NewTopic

from choreo.errors import LogError
from choreo.kafka import KafkaLog, create_topics, describe_topics
from choreo.kafka.topics import TopicDescriptions, _asked, _created, _settings, await_topics
from choreo.participant.topics import TopicNeed
from choreo.ports import TopicState
from choreo.ports.topics import differences
from tests.broker.any_broker import KafkaCluster, unique
from tests.kafka.recording_reader import RecordingReader


@pytest.mark.kafka
def test_topics_are_made_once(kafka_bootstrap: str) -> None:
    """What exists is fine, and left as it is."""
    old, new = unique("topic"), unique("topic")
    assert create_topics(kafka_bootstrap, [old], 3, 1) == [old]
    assert create_topics(kafka_bootstrap, [old, new, new], 3, 1) == [new]
    assert create_topics(kafka_bootstrap, [old], 6, 1) == []
    cluster = KafkaCluster(kafka_bootstrap, embedded=False)
    assert len(RecordingReader(cluster.log(unique("group")), old).subscribe().until_ended(3).assigned) == 3
    cluster.close()


@pytest.mark.kafka
@pytest.mark.parametrize("replication", [1, -1])
def test_a_new_topic_has_what_it_needs(kafka_bootstrap: str, topic: str, replication: int) -> None:
    """But for the number of brokers."""
    need = TopicNeed(topic, span=timedelta(days=30))
    create_topics(kafka_bootstrap, [need], 1, replication)
    (state,) = describe_topics(kafka_bootstrap, [topic])
    assert [each.setting for each in differences(state, need)] == ["replication factor"]
    assert state.settings["retention.ms"] == str(37 * 86_400_000)
    assert state.settings["min.insync.replicas"] == "1"


@pytest.mark.kafka
def test_a_topic_made_anew_has_another_id(kafka_bootstrap: str, topic: str) -> None:
    """The same name, the same settings, the same offsets: only the id tells."""
    admin = AdminClient({"bootstrap.servers": kafka_bootstrap})
    ids = set()
    for _ in range(2):
        assert create_topics(kafka_bootstrap, [topic], 1, 1) == [topic]
        (state,) = describe_topics(kafka_bootstrap, [topic])
        ids.add(state.id)
        admin.delete_topics([topic])[topic].result(10)
        until = time.monotonic() + 30
        while topic in admin.list_topics(timeout=10).topics:
            assert time.monotonic() < until, "the broker still tells of a topic that it has deleted"
    assert len(ids) == 2
    assert "" not in ids


@pytest.mark.kafka
def test_what_is_inherited_and_what_is_missing_is_described(kafka_bootstrap: str, topic: str) -> None:
    """A broker's default counts as a topic's own setting does; the producer's limit stands beside it."""
    admin = AdminClient({"bootstrap.servers": kafka_bootstrap})
    new = NewTopic(topic, 2, 1, config={"cleanup.policy": "compact,delete"})
    admin.create_topics([new])[topic].result(10)
    await_topics(admin, [topic])
    own = {"message.max.bytes": 100_000}
    state, missing = describe_topics(kafka_bootstrap, [topic, "missing"], own)
    assert (state.partitions, state.replicas, missing.partitions) == (2, 1, 0)
    assert state.settings["cleanup.policy"] == "compact,delete"
    assert state.settings["max.message.bytes"] == "1048588"
    assert state.settings["message.max.bytes"] == "100000"


def test_an_answer_that_is_late_is_not_waited_for() -> None:
    """A worker asks, goes on, and looks again; one that never comes is an error."""
    log = KafkaLog("127.0.0.1:1", "g", settings={"log_level": 0})
    assert log.describe(["t"], 0.0) is None
    with pytest.raises(LogError, match="could not ask for topic t"):
        log.describe(["t"], 10.0)
    log.close()


def test_a_cluster_is_asked_again_while_there_is_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """As the broker that was asked may have died; once it has answered, or time is over, that is it."""
    monkeypatch.setattr("choreo.kafka.topics.DEADLINE", 0.2)
    answers = [_failed(KafkaError._TIMED_OUT), _failed(KafkaError._TIMED_OUT), _failed(3)]
    descriptions = TopicDescriptions("127.0.0.1:1", {})

    def ask(topics: Sequence[str]) -> None:
        answer = answers.pop(0)
        descriptions._topics = dict.fromkeys(topics, answer)
        descriptions._configs = {ConfigResource(ResourceType.TOPIC, name): answer for name in topics}

    monkeypatch.setattr(descriptions, "_ask", ask)
    with pytest.raises(LogError, match="could not ask for topic t"):
        descriptions.get(["t"], 0.1)
    assert len(answers) == 2
    assert descriptions.get(["t"], 5.0) == [TopicState("t")]
    assert not answers


def test_a_cluster_that_has_no_controller_yet_is_asked_again_to_create_topics(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Only for what nobody has answered; a topic that is refused is not."""
    asked: list[list[str]] = []
    answers = {"early": [_done()], "late": [_failed(KafkaError._TIMED_OUT), _done()], "bad": [_failed(37)]}

    class Admin:
        def create_topics(self, new: Sequence[NewTopic], request_timeout: float) -> dict[str, Future[Any]]:
            asked.append([each.topic for each in new])
            return {each.topic: answers[each.topic].pop(0) for each in new}

    new = [NewTopic(name, 1, 1) for name in answers]
    found = _asked(Admin(), new)  # type: ignore[arg-type]
    assert asked == [["early", "late", "bad"], ["late"]]
    assert [name for name, answer in found.items() if answer.exception() is None] == ["early", "late"]

    monkeypatch.setattr("choreo.kafka.topics.CREATION_DEADLINE", 0.0)
    answers["late"] = [_failed(KafkaError._TIMED_OUT)]
    with pytest.raises(LogError, match="could not create topic late"):
        _created("late", _asked(Admin(), new[1:2])["late"])  # type: ignore[arg-type]


def test_what_was_created_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """A broker acknowledges a topic before it knows it, then it knows no leader; others don't answer."""
    led, leaderless = SimpleNamespace(leader=1), SimpleNamespace(leader=-1)
    answers = [
        {},
        {"t": SimpleNamespace(error=KafkaError(3), partitions={})},
        {"t": SimpleNamespace(error=None, partitions={})},
        KafkaException(KafkaError(KafkaError._TIMED_OUT)),
        {"t": SimpleNamespace(error=None, partitions={0: led, 1: leaderless})},
        {"t": SimpleNamespace(error=None, partitions={0: led, 1: led})},
    ]

    class Admin:
        def list_topics(self, timeout: float) -> SimpleNamespace:
            answer = answers.pop(0)
            if isinstance(answer, KafkaException):
                raise answer
            return SimpleNamespace(topics=answer)

    monkeypatch.setattr("choreo.kafka.topics._PAUSE", 0.0)
    await_topics(Admin(), ["t"])  # type: ignore[arg-type]
    assert answers == []


def _done() -> Future[Any]:
    answer: Future[Any] = Future()
    answer.set_result(None)
    return answer


def _failed(code: int) -> Future[Any]:
    answer: Future[Any] = Future()
    answer.set_exception(KafkaException(KafkaError(code)))
    return answer


@pytest.mark.parametrize(
    ("defaults", "expected"),
    [
        ({}, {"retention.ms": str(7 * 86_400_000)}),
        ({"log.retention.hours": "168"}, {"retention.ms": str(7 * 86_400_000)}),
        ({"log.retention.hours": "168", "log.retention.minutes": "43200"}, {"retention.ms": "2592000000"}),
        ({"log.retention.ms": "-1", "log.retention.hours": "1"}, {"retention.ms": "-1"}),
        ({"message.max.bytes": "100000"}, {"max.message.bytes": "1048588"}),
        ({"message.max.bytes": "9000000"}, {"max.message.bytes": None}),
    ],
)
def test_what_the_cluster_does_better_stays_so(defaults: dict[str, str], expected: dict[str, str]) -> None:
    """It keeps records for longer, or takes larger ones."""
    settings = _settings(TopicNeed("t"), 3, defaults)
    assert {name: settings.get(name) for name in expected} == expected


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
