"""``KafkaLog``: the topics of a Kafka cluster as `choreo.ports.Log`, with confluent-kafka (librdkafka)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

from confluent_kafka import KafkaException

from choreo.kafka import settings as kafka_settings
from choreo.kafka.consumer import KafkaConsumer
from choreo.kafka.errors import cause
from choreo.kafka.outage import Outage
from choreo.kafka.producer import KafkaProducer
from choreo.kafka.settings import Setting
from choreo.kafka.topics import TopicDescriptions
from choreo.ports import Assignment, Publication, Taken, TopicState
from choreo.records import Partition

REACH_DEADLINE: Final = 5.0
"""Seconds in which the cluster must answer when a worker starts; later outages are waited out."""


class KafkaLog:
    """A participant's consumer and idempotent producer, for one thread.

    ``bootstrap`` is a list ``host:port,…``; ``group`` is the participant's name. With an ``instance``
    the consumer is a static member of its group (KIP-345): a worker that was killed has its partitions
    back at once when it starts again under the same name; one that ``leaves`` has others beside
    it, which have its partitions when it is closed. ``settings`` are librdkafka's own, for both
    clients. ``embedded`` is for the broker of `choreo.kafka.embedded`. Raises `ConfigurationError` for a
    setting that is unknown, or that choreo's guarantees depend on.
    """

    def __init__(
        self,
        bootstrap: str,
        group: str,
        *,
        instance: str = "",
        leaves: bool = False,
        settings: Mapping[str, Setting] | None = None,
        embedded: bool = False,
    ) -> None:
        own = settings or {}
        kafka_settings.check(own)
        self._embedded = embedded
        self._descriptions = TopicDescriptions(bootstrap, own)
        try:
            outage = Outage()
            self._producer = KafkaProducer(kafka_settings.of_producer(bootstrap, own), outage)
            self._consumer = KafkaConsumer(
                kafka_settings.of_consumer(bootstrap, group, instance, own, embedded), outage, leaves=leaves
            )
        except KafkaException as error:
            raise kafka_settings.unusable(cause(error).str(), own) from None

    def cluster_id(self) -> str:
        """Return the cluster's id. Raises `LogError` where it does not answer within a few seconds."""
        return self._producer.cluster_id(REACH_DEADLINE)

    def partitions(self, topics: Sequence[str]) -> Mapping[str, int]:
        """Return the number of partitions of each topic. Raises `LogError`, also where there is none such."""
        return self._consumer.partitions(topics)

    def describe(self, topics: Sequence[str], wait: float) -> Sequence[TopicState] | None:
        """Describe topics; the embedded broker knows no settings and no ids. Raises `LogError`."""
        return () if self._embedded else self._descriptions.get(topics, wait)

    def claim(self, store_id: str, is_new: bool) -> None:
        """Claim the group for a store when it is joined; see `choreo.ports.Log.claim`."""
        self._consumer.claim(store_id, is_new)

    def subscribe(
        self,
        topics: Sequence[str],
        on_assign: Callable[[Sequence[Assignment]], Sequence[int]],
        on_revoke: Callable[[Sequence[Partition]], None],
    ) -> None:
        """Begin to consume. Raises `LogError` for a topic that doesn't exist or can't be read.

        Raises `StoreMismatch` where the group belongs to another store, also later, in `take`.
        """
        self._consumer.subscribe(topics, on_assign, on_revoke)
        self._producer.is_open = self._consumer.may_publish

    def rejoin(self) -> None:
        """Join the group anew in the next `take`."""
        self._consumer.rejoin()

    def take(self, limit: int, wait: float) -> Taken:
        """Take records and acknowledgements. Raises `LogError` for an error that waiting doesn't resolve."""
        records, ended = self._consumer.take(limit, wait)
        if not self._producer.is_open and self._consumer.may_publish:
            self._producer.is_open = True
        return Taken(records, ended, self._producer.acknowledged(), self._producer.refused())

    def publish(self, publications: Iterable[Publication]) -> None:
        """Queue publications. Raises `LogError` for a failure that no single one caused."""
        self._producer.publish(publications)

    def flush(self, wait: float) -> Sequence[int]:
        """Wait for acknowledgements. Raises `LogError` for a failure that no single publication caused."""
        return self._producer.flush(wait)

    def commit(self, positions: Mapping[Partition, int]) -> None:
        """Commit positions for lag monitors; it never fails."""
        self._consumer.commit(positions)

    def ends(self, partitions: Sequence[Partition]) -> Mapping[Partition, int]:
        """Return the ends that came with the last fetch."""
        return self._consumer.ends(partitions)

    def arriving(self) -> int:
        """Return how many partitions wait for their leaders."""
        return self._consumer.arriving

    def is_spare(self) -> bool:
        """Return whether the group has no partition for it."""
        return self._consumer.is_spare

    def offsets_at(self, partitions: Sequence[Partition], timestamp: int) -> Sequence[int]:
        """Look offsets up by time (ms). Raises `LogError`."""
        return self._consumer.offsets_at(partitions, timestamp)

    def close(self) -> None:
        """Leave the group, and drop publications in flight."""
        self._consumer.close()
        self._producer.close()
