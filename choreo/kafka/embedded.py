"""A Kafka broker in this process, for tests and demos: librdkafka's mock cluster.

It serves the real protocol to any process of the machine, keeps everything in memory, and creates topics
on first use, with four partitions. It doesn't support CreateTopics, static membership or offsets by time, and
keeps only the newest 5 MB of each partition: the offset of a consumer that lags further is out of range.
"""

from __future__ import annotations

from types import TracebackType
from typing import Final, Self

from confluent_kafka import Producer

from choreo.kafka.settings import of_client

START_DEADLINE: Final = 5.0


class EmbeddedBroker:
    """The broker, which runs from construction to `close`; ``bootstrap`` is its address.

    >>> with EmbeddedBroker() as broker:
    ...     broker.bootstrap.startswith("127.0.0.1:")
    True
    """

    def __init__(self) -> None:
        self._cluster: Producer | None = Producer(of_client("", {"test.mock.num.brokers": 1}))
        brokers = self._cluster.list_topics(timeout=START_DEADLINE).brokers.values()
        self.bootstrap = ",".join(f"{each.host}:{each.port}" for each in brokers)
        self._cluster.poll(0)

    def close(self) -> None:
        """Stop the broker; its records are lost."""
        self._cluster = None  # librdkafka ends the cluster with the client that owns it

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
