"""The log of the sagas on a Kafka cluster: `choreo.ports.Log` by confluent-kafka (librdkafka)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

from confluent_kafka import KafkaException

from choreo.errors import ConfigurationError
from choreo.kafka import settings as kafka_settings
from choreo.kafka.consumer import Reader
from choreo.kafka.errors import cause
from choreo.kafka.producer import Writer
from choreo.kafka.settings import Setting
from choreo.ports import Assignment, Publication, Taken
from choreo.records import Partition

REACH_DEADLINE: Final = 5.0
"""Seconds in which the cluster must answer when a worker starts; later outages are waited out."""


class KafkaLog:
    """A participant's consumer and idempotent producer; for one thread.

    ``bootstrap`` is a list ``host:port,…``; ``group`` is the participant's name. With an ``instance``
    the consumer is a static member of its group (KIP-345): a worker that was killed gets its partitions
    back at once when it starts again under the same name. ``settings`` are librdkafka's, as they are,
    for both clients; those that the promise depends on are refused. ``embedded`` is for the broker of
    `choreo.kafka.embedded`. Raises `ConfigurationError`.
    """

    def __init__(
        self,
        bootstrap: str,
        group: str,
        *,
        instance: str = "",
        settings: Mapping[str, Setting] | None = None,
        embedded: bool = False,
    ) -> None:
        own = settings or {}
        kafka_settings.check(own)
        self._bootstrap = bootstrap
        try:
            self._writer = Writer(kafka_settings.of_producer(bootstrap, own))
            self._reader = Reader(kafka_settings.of_consumer(bootstrap, group, instance, own, embedded))
        except KafkaException as error:
            raise ConfigurationError(f"Kafka settings can't be used: {cause(error).str()}") from error

    def cluster_id(self) -> str:
        """Name the cluster; raises `LogError` when it does not answer within a few seconds."""
        return self._writer.cluster_id(REACH_DEADLINE)

    def subscribe(
        self,
        topics: Sequence[str],
        on_assign: Callable[[Sequence[Assignment]], Sequence[int]],
        on_revoke: Callable[[Sequence[Partition]], None],
    ) -> None:
        """Begin to consume; raises `LogError` for a topic that doesn't exist or can't be read."""
        self._reader.subscribe(topics, on_assign, on_revoke)

    def take(self, limit: int, wait: float) -> Taken:
        """Take what is there; raises `LogError` for what waiting can't help."""
        records, ended = self._reader.take(limit, wait)
        return Taken(records, ended, self._writer.acknowledged())

    def publish(self, publications: Iterable[Publication]) -> None:
        """Queue publications; raises `LogError` for one that can't be sent, and ever after."""
        self._writer.publish(publications)

    def flush(self, wait: float) -> Sequence[int]:
        """Wait for acknowledgements; raises `LogError` for a publication that could not be delivered."""
        return self._writer.flush(wait)

    def commit(self, positions: Mapping[Partition, int]) -> None:
        """Tell lag monitors; never fails."""
        self._reader.commit(positions)

    def offsets_at(self, partitions: Sequence[Partition], timestamp: int) -> Sequence[int]:
        """Look offsets up by time (ms); raises `LogError`."""
        return self._reader.offsets_at(partitions, timestamp)

    def close(self) -> None:
        """Leave the group and throw away what is in flight."""
        self._reader.close()
        self._writer.close()
