"""The sagas' topics on a cluster: created once, with the final number of partitions, and described."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Future, wait
from contextlib import suppress
from typing import Any, Final

from confluent_kafka import KafkaError, KafkaException, TopicCollection
from confluent_kafka.admin import (  # type: ignore[attr-defined]
    AdminClient,
    ConfigResource,
    ResourceType,
    TopicMetadata,
)
from confluent_kafka.cimpl import NewTopic

from choreo.errors import LogError
from choreo.kafka.errors import MISSING, cause, refused
from choreo.kafka.settings import Setting, check, of_client, unusable
from choreo.participant.topics import TopicNeed
from choreo.ports import TopicState
from choreo.ports.topics import MAX_RECORD, settings_for

DEADLINE: Final = 5.0
"""Seconds in which the cluster must answer."""

CREATION_DEADLINE: Final = 25.0
"""Seconds for which a cluster that has answered is asked to create topics: it may have no controller yet."""

_PAUSE: Final = 0.1

_OWN_LIMIT: Final = "message.max.bytes"
_LARGEST: Final = "1048588"  # Kafka's own default
_RETENTION: Final = {"log.retention.ms": 1, "log.retention.minutes": 60_000, "log.retention.hours": 3_600_000}


def create_topics(
    bootstrap: str,
    topics: Sequence[TopicNeed | str],
    partitions: int,
    replication: int,
    settings: Mapping[str, Setting] | None = None,
) -> list[str]:
    """Create the topics that don't exist, with the settings that sagas need, and return their names.

    An existing topic is not changed; `describe_topics` shows what it is like. ``replication`` may be -1, for
    the cluster's default. A cluster that is about to start is asked again for `CREATION_DEADLINE`, and what
    was created is waited for as long, so that whoever uses it next finds it. Raises `LogError` when the
    cluster can't be reached or refuses, `ConfigurationError` for a bad setting.
    """
    admin = _admin(bootstrap, settings or {})
    there = _existing(admin)
    needs = {each.topic: each for each in map(_need, topics) if each.topic not in there}
    if not needs:
        return []
    defaults = _defaults(admin)
    replicas = replication if replication > 0 else int(defaults.get("default.replication.factor") or 0)
    new = [
        NewTopic(topic, partitions, replication, config=_settings(need, replicas, defaults))
        for topic, need in needs.items()
    ]
    created = [topic for topic, answer in _asked(admin, new).items() if _created(topic, answer)]
    await_topics(admin, created)
    return created


def describe_topics(
    bootstrap: str, topics: Sequence[str], settings: Mapping[str, Setting] | None = None
) -> list[TopicState]:
    """Return the topics of a cluster as they are. Raises `LogError`, and `ConfigurationError`."""
    found = TopicDescriptions(bootstrap, settings or {}).get(topics, 2 * DEADLINE)
    if found is None:
        raise LogError("could not ask for the topics: no answer")
    return found


class TopicDescriptions:
    """Asks a cluster for the state of topics, without waiting for its answer."""

    def __init__(self, bootstrap: str, settings: Mapping[str, Setting]) -> None:
        """Connect when first asked. Raises `ConfigurationError` for a bad setting."""
        self._bootstrap = bootstrap
        self._settings = settings
        self._admin: AdminClient | None = None
        self._topics: dict[str, Future[Any]] = {}
        self._configs: dict[ConfigResource, Future[Any]] = {}

    def get(self, topics: Sequence[str], wait_seconds: float) -> list[TopicState] | None:
        """Return the topics, or None where the answer isn't there in time; a later call has it.

        Raises `LogError` where the cluster does not answer. While there is time, it is asked again: the
        broker that was asked may have died, and the others take a while to see it.
        """
        until = time.monotonic() + wait_seconds
        while True:
            if not self._topics:
                self._ask(topics)
            answers = [*self._topics.values(), *self._configs.values()]
            if wait(answers, max(until - time.monotonic(), 0)).not_done:
                return None
            asked, configs = self._topics, {each.name: answer for each, answer in self._configs.items()}
            self._topics, self._configs = {}, {}
            if until - time.monotonic() < DEADLINE or not any(map(_is_unanswered, asked.values())):
                return [self._state(name, answer, configs[name]) for name, answer in asked.items()]

    def _ask(self, topics: Sequence[str]) -> None:
        if self._admin is None:
            self._admin = _admin(self._bootstrap, self._settings)
        resources = [ConfigResource(ResourceType.TOPIC, name) for name in topics]
        self._topics = self._admin.describe_topics(TopicCollection([*topics]), request_timeout=DEADLINE)
        self._configs = self._admin.describe_configs(resources, request_timeout=DEADLINE)

    def _state(self, name: str, answer: Future[Any], configs: Future[Any]) -> TopicState:
        try:
            found = answer.result()
        except KafkaException as error:
            if cause(error).code() in MISSING:
                return TopicState(name)
            if cause(error).code() == KafkaError.TOPIC_AUTHORIZATION_FAILED:
                return TopicState(name, problem=cause(error).str())
            raise refused(f"could not ask for topic {name}", cause(error)) from error
        own = {_OWN_LIMIT: str(self._settings[_OWN_LIMIT])} if _OWN_LIMIT in self._settings else {}
        problem = ""
        try:
            own |= {each.name: each.value for each in configs.result().values() if each.value is not None}
        except KafkaException as error:
            problem = cause(error).str()
        replicas = min((len(each.replicas) for each in found.partitions), default=0)
        leaderless = sum(each.leader is None or each.leader.id < 0 for each in found.partitions)
        return TopicState(name, _id(found), len(found.partitions), replicas, own, problem, leaderless)


def _is_unanswered(answer: Future[Any]) -> bool:
    """Whether the broker that was asked has said nothing."""
    error = answer.exception()
    return isinstance(error, KafkaException) and cause(error).code() == KafkaError._TIMED_OUT


def _id(found: Any) -> str:
    """Return a topic's id; brokers without ids give zeros."""
    written = str(found.topic_id or "")
    return "" if not written.strip("A=") else written


def _need(topic: TopicNeed | str) -> TopicNeed:
    return topic if isinstance(topic, TopicNeed) else TopicNeed(topic)


def _existing(admin: AdminClient) -> Iterable[str]:
    try:
        return admin.list_topics(timeout=DEADLINE).topics
    except KafkaException as error:
        raise refused("could not ask for the topics", cause(error)) from error


def _defaults(admin: AdminClient) -> dict[str, str]:
    """Return the settings of a broker, which new topics inherit; none where they may not be read."""
    try:
        broker = str(min(admin.list_topics(timeout=DEADLINE).brokers))
        resource = ConfigResource(ResourceType.BROKER, broker)
        answer = admin.describe_configs([resource], request_timeout=DEADLINE)[resource]
        found = answer.result(DEADLINE + 1)
    except (KafkaException, TimeoutError, ValueError):
        return {}
    return {each.name: each.value for each in found.values() if each.value is not None}


def _settings(need: TopicNeed, replicas: int, defaults: Mapping[str, str]) -> dict[str, str]:
    """Return the settings of a new topic; what the cluster keeps longer, or takes larger, stays so."""
    settings = settings_for(need, replicas)
    kept = next((int(defaults[name]) * unit for name, unit in _RETENTION.items() if name in defaults), 0)
    if kept < 0 or kept > int(settings["retention.ms"]):
        settings["retention.ms"] = str(max(kept, -1))
    if int(defaults.get(_OWN_LIMIT, _LARGEST)) < MAX_RECORD:
        settings["max.message.bytes"] = _LARGEST
    return settings


def _admin(bootstrap: str, settings: Mapping[str, Setting]) -> AdminClient:
    check(settings)
    try:
        return AdminClient(of_client(bootstrap, settings))
    except KafkaException as error:
        raise unusable(cause(error).str(), settings) from None


def _asked(admin: AdminClient, new: Sequence[NewTopic]) -> dict[str, Future[None]]:
    """Return a cluster's answers; those that nobody has answered are asked for again while there is time."""
    until = time.monotonic() + CREATION_DEADLINE
    answers: dict[str, Future[None]] = {}
    left = list(new)
    while left:
        answers |= admin.create_topics(left, request_timeout=DEADLINE)
        wait(answers.values(), DEADLINE + 1)
        if time.monotonic() > until:
            break
        left = [each for each in left if answers[each.topic].done() and _is_unanswered(answers[each.topic])]
    return answers


def await_topics(admin: AdminClient, topics: Sequence[str]) -> None:
    """Wait until a broker knows topics and their leaders, which it learns after their creation."""
    until = time.monotonic() + CREATION_DEADLINE
    while topics and time.monotonic() < until:
        with suppress(KafkaException):
            known = admin.list_topics(timeout=DEADLINE).topics
            topics = [each for each in topics if each not in known or not _is_led(known[each])]
        if topics:
            time.sleep(_PAUSE)


def _is_led(topic: TopicMetadata) -> bool:
    leaders = [each.leader for each in topic.partitions.values()]
    return topic.error is None and bool(leaders) and min(leaders) >= 0


def _created(topic: str, answer: Future[None]) -> bool:
    try:
        answer.result(DEADLINE + 1)
    except KafkaException as exception:
        error = cause(exception)
        if error.code() == KafkaError.TOPIC_ALREADY_EXISTS:
            return False
        raise refused(f"could not create topic {topic}", error) from exception
    except TimeoutError as error:
        raise LogError(f"could not create topic {topic}: no answer") from error
    return True
