"""``ClusterFacts``: what a cluster tells of a participant's topics, group and rights; nothing is changed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import Future, wait
from typing import Any, Final, NamedTuple

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicCollection, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec  # type: ignore[attr-defined]

from choreo.errors import LogError
from choreo.kafka.claim import committed_offsets, holder_of
from choreo.kafka.errors import cause
from choreo.kafka.settings import Setting, check, hidden, of_client, of_consumer, of_producer, unusable
from choreo.kafka.topics import describe_topics
from choreo.ports import TopicState
from choreo.records import Partition

DEADLINE: Final = 5.0
"""Seconds in which the cluster must answer each question."""


class ClusterFacts(NamedTuple):
    """What a cluster tells of one participant, as far as it does.

    ``rights`` are what this client may do with each topic, and ``group_rights`` with the group; what is not
    told is absent. ``holder`` is the store that has the group, ``ends`` are the first offset and the next one
    of each partition, ``newest`` is the latest time of a record, below zero where there is none. ``unknown``
    says what could not be asked, and why.
    """

    cluster: str
    topics: Sequence[TopicState]
    rights: Mapping[str, frozenset[str]] = {}
    group_rights: frozenset[str] | None = None
    holder: str = ""
    ends: Mapping[Partition, tuple[int, int]] = {}
    newest: int = -1
    unknown: Sequence[str] = ()


def cluster_facts(
    bootstrap: str, group: str, topics: Sequence[str], settings: Mapping[str, Setting]
) -> ClusterFacts:
    """Return what a cluster tells. Raises `LogError` where it does not answer.

    Raises `ConfigurationError` where a worker's clients could not be made with these settings.
    """
    check(settings)
    errors: list[KafkaError] = []
    try:
        Producer(of_producer(bootstrap, settings)).flush(0)
        own: dict[str, Any] = {**of_client(bootstrap, settings), "error_cb": errors.append}
        admin = AdminClient(own)
        consumer = Consumer(of_consumer(bootstrap, group, "", settings, False))
    except KafkaException as error:
        raise unusable(cause(error).str(), settings) from None
    try:
        admin.list_topics(timeout=DEADLINE)
        return _Questions(admin, consumer, group).facts(describe_topics(bootstrap, topics, settings))
    except KafkaException as error:
        admin.poll(0)
        why = next((each for each in errors if each.code() != KafkaError._ALL_BROKERS_DOWN), cause(error))
        raise LogError(
            f"the cluster at {bootstrap} does not answer: {hidden(why.str(), settings)}",
            hint="is the address right, is a broker running, and do the settings for TLS and SASL fit?",
        ) from None
    finally:
        consumer.close()


class _Questions:
    """Asks a cluster that answers, and keeps what it refuses to tell."""

    def __init__(self, admin: AdminClient, consumer: Consumer, group: str) -> None:
        self._admin = admin
        self._consumer = consumer
        self._group = group
        self._unknown: list[str] = []

    def facts(self, states: Sequence[TopicState]) -> ClusterFacts:
        """Ask all there is to ask about topics, and about the group."""
        there = [each for each in states if each.partitions]
        cluster = self._answer("the cluster", self._admin.describe_cluster(request_timeout=DEADLINE))
        return ClusterFacts(
            str(cluster.cluster_id) if cluster else "",
            states,
            self._rights([each.topic for each in there]),
            self._group_rights(),
            self._holder(there),
            *self._offsets(there),
            self._unknown,
        )

    def _rights(self, topics: Sequence[str]) -> dict[str, frozenset[str]]:
        if not topics:
            return {}
        asked = self._admin.describe_topics(
            TopicCollection([*topics]), include_authorized_operations=True, request_timeout=DEADLINE
        )
        found = {topic: self._answer(f"topic {topic}", answer) for topic, answer in asked.items()}
        return {topic: _names(each) for topic, each in found.items() if each and each.authorized_operations}

    def _group_rights(self) -> frozenset[str] | None:
        asked = self._admin.describe_consumer_groups(
            [self._group], include_authorized_operations=True, request_timeout=DEADLINE
        )
        try:
            found = asked[self._group].result(DEADLINE + 1)
        except KafkaException as error:
            is_refused = cause(error).code() == KafkaError.GROUP_AUTHORIZATION_FAILED
            return frozenset() if is_refused else None  # a group that nobody has joined is not known
        except TimeoutError:
            return None
        return _names(found) if found.authorized_operations else None

    def _holder(self, states: Sequence[TopicState]) -> str:
        # Asked by a consumer: librdkafka's admin client ends the process where the group's broker has just
        # started, as it passes the answer to a group that only a consumer has.
        places = [Partition(each.topic, number) for each in states for number in range(each.partitions)]
        try:
            return holder_of(committed_offsets(self._consumer, places, DEADLINE)) if places else ""
        except KafkaException as error:
            self._unknown.append(f"group {self._group}: {cause(error).str()}")
            return ""

    def _offsets(self, states: Sequence[TopicState]) -> tuple[dict[Partition, tuple[int, int]], int]:
        places = [Partition(each.topic, number) for each in states for number in range(each.partitions)]
        spec: Any = OffsetSpec
        first, last, newest = (
            self._listed(places, each) for each in (spec.earliest(), spec.latest(), spec.max_timestamp())
        )
        ends = {each: (first[each].offset, last[each].offset) for each in first.keys() & last.keys()}
        return ends, max((each.timestamp for each in newest.values()), default=-1)

    def _listed(self, places: Sequence[Partition], spec: Any) -> dict[Partition, Any]:
        if not places:
            return {}
        wanted = {TopicPartition(*each): spec for each in places}
        asked = self._admin.list_offsets(wanted, request_timeout=DEADLINE)
        wait(asked.values(), DEADLINE + 1)
        found = {
            Partition(each.topic, each.partition): self._answer(f"offsets of {each.topic}", answer)
            for each, answer in asked.items()
        }
        return {place: each for place, each in found.items() if each is not None}

    def _answer(self, what: str, answer: Future[Any]) -> Any:
        """Return an answer, None where the cluster refuses it or doesn't give it in time."""
        try:
            return answer.result(DEADLINE + 1)
        except KafkaException as error:
            problem = f"{what}: {cause(error).str()}"
        except TimeoutError:
            problem = f"{what}: no answer"
        if problem not in self._unknown:
            self._unknown.append(problem)
        return None


def _names(description: Any) -> frozenset[str]:
    return frozenset(each.name for each in description.authorized_operations)
