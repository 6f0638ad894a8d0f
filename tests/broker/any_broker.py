"""One interface to the three brokers of the tests: in memory, embedded, a real Kafka."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any, Protocol

from choreo.kafka import EmbeddedBroker, KafkaLog, create_topics
from choreo.ports import Log
from choreo.testing.broker import MemoryBroker

EMBEDDED_PARTITIONS = 4
"""Of every topic that librdkafka's mock cluster creates; it can't be told otherwise."""


class AnyBroker(Protocol):
    """A broker to run a scenario on."""

    name: str

    def log(self, group: str, instance: str = "", **settings: Any) -> Log:
        """Return a participant's log, which `close` closes at the latest."""
        ...

    def create_topic(self, name: str, partitions: int = EMBEDDED_PARTITIONS) -> str:
        """Create a topic and return its name."""
        ...

    def close(self) -> None:
        """Close every log that was given."""
        ...


class InMemoryBroker:
    """A broker of its own, in memory."""

    name = "memory"

    def __init__(self) -> None:
        self.broker = MemoryBroker()

    def log(self, group: str, instance: str = "", **settings: Any) -> Log:
        """Return a log; it has no settings."""
        del settings
        return self.broker.log(group, instance)

    def create_topic(self, name: str, partitions: int = EMBEDDED_PARTITIONS) -> str:
        """Make a topic."""
        self.broker.create_topic(name, partitions)
        return name

    def close(self) -> None:
        """Nothing to close."""


class KafkaCluster:
    """A cluster at an address: librdkafka's mock (``embedded``) or a real one."""

    def __init__(self, bootstrap: str, embedded: bool) -> None:
        self.name = "embedded" if embedded else "kafka"
        self.bootstrap = bootstrap
        self.embedded = embedded
        self._logs: list[KafkaLog] = []

    def log(self, group: str, instance: str = "", **settings: Any) -> Log:
        """Return a log; ``settings`` are librdkafka's, with ``_`` for a dot."""
        own = {name.replace("_", "."): value for name, value in settings.items()}
        log = KafkaLog(self.bootstrap, group, instance=instance, settings=own, embedded=self.embedded)
        self._logs.append(log)
        return log

    def create_topic(self, name: str, partitions: int = EMBEDDED_PARTITIONS) -> str:
        """Make a topic; on the mock it comes by itself, with four partitions."""
        if self.embedded and partitions != EMBEDDED_PARTITIONS:
            raise ValueError(f"topics of the embedded broker have {EMBEDDED_PARTITIONS} partitions")
        if not self.embedded:
            create_topics(self.bootstrap, [name], partitions, 1)
        return name

    def close(self) -> None:
        """Close what was given; closing twice is fine."""
        for log in self._logs:
            log.close()


def broker_of(
    name: str, kafka_bootstrap: Callable[[], str], embedded: Callable[[], EmbeddedBroker]
) -> AnyBroker:
    """Return the broker of that name; it is only started where it is needed."""
    if name == "memory":
        return InMemoryBroker()
    if name == "embedded":
        return KafkaCluster(embedded().bootstrap, embedded=True)
    return KafkaCluster(kafka_bootstrap(), embedded=False)


def unique(prefix: str) -> str:
    """Return a name that no other test uses, for a topic or a group."""
    return f"{prefix}-{uuid.uuid4().hex[:12]}"
