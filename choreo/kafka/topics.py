"""Creation of the sagas' topics, once and with the final number of partitions."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from typing import Final

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from choreo.errors import LogError
from choreo.kafka.errors import cause, refused
from choreo.kafka.settings import Setting, check, of_client, unusable

DEADLINE: Final = 5.0
"""Seconds in which the cluster must answer."""

_log = logging.getLogger("choreo.kafka")


def create_topics(
    bootstrap: str,
    topics: Sequence[str],
    partitions: int,
    replication: int,
    settings: Mapping[str, Setting] | None = None,
) -> list[str]:
    """Create the topics that don't exist, and return their names.

    An existing topic is not changed. Where its number of partitions differs, a warning is logged (logger
    ``choreo.kafka``): adding partitions to a topic in use breaks the order of sagas in flight. Raises
    `LogError` when the cluster can't be reached or refuses, `ConfigurationError` for a bad setting.
    """
    admin = _admin(bootstrap, settings or {})
    there = partition_counts(admin)
    for topic in topics:
        if there.get(topic, partitions) != partitions:
            _log.warning("topic %s has %d partitions, not %d; left so", topic, there[topic], partitions)
    missing = [topic for topic in dict.fromkeys(topics) if topic not in there]
    if not missing:
        return []
    asked = admin.create_topics(
        [NewTopic(topic, partitions, replication) for topic in missing], request_timeout=DEADLINE
    )
    return [topic for topic, answer in asked.items() if _created(topic, answer)]


def partition_counts(admin: AdminClient) -> dict[str, int]:
    """Return the number of partitions of every visible topic. Raises `LogError`."""
    try:
        seen = admin.list_topics(timeout=DEADLINE)
    except KafkaException as error:
        raise refused("could not ask for the topics", cause(error)) from error
    return {name: len(topic.partitions) for name, topic in seen.topics.items()}


def _admin(bootstrap: str, settings: Mapping[str, Setting]) -> AdminClient:
    check(settings)
    try:
        return AdminClient(of_client(bootstrap, settings))
    except KafkaException as error:
        raise unusable(cause(error).str(), settings) from None


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
