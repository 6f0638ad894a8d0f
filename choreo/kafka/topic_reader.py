"""``TopicReader``: reads topics of a cluster from their beginning to their current end, without a group."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final, Self

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from choreo.errors import LogError
from choreo.kafka import settings as kafka_settings
from choreo.kafka.consumer import QUERY_DEADLINE, record_of
from choreo.kafka.errors import cause, refused
from choreo.kafka.settings import Setting
from choreo.ports import Assignment
from choreo.records import Partition, Record

_GROUP: Final = "choreo-tape"
"""The group name that librdkafka requires; no group is joined, and nothing is committed."""

_PATIENCE: Final = 30.0
"""Seconds without a record, before the end, after which the cluster counts as unreachable."""


class TopicReader:
    """The records of some topics, between the watermarks of each partition at the time of opening.

    It changes no position and causes no rebalance, so workers may run meanwhile. ``settings`` are
    librdkafka's. Raises `LogError` for a topic that doesn't exist, or a cluster that can't be reached.
    """

    def __init__(
        self,
        bootstrap: str,
        topics: Sequence[str],
        settings: Mapping[str, Setting] | None = None,
        *,
        embedded: bool = False,
    ) -> None:
        own = settings or {}
        kafka_settings.check(own)
        try:
            self._consumer = Consumer(kafka_settings.of_consumer(bootstrap, _GROUP, "", own, embedded))
        except KafkaException as error:
            raise kafka_settings.unusable(cause(error).str(), own) from None
        try:
            self.cluster_id = self._consumer.list_topics(timeout=QUERY_DEADLINE).cluster_id or ""
            self.partitions = [each for topic in topics for each in self._partitions(topic)]
        except KafkaException as error:
            self.close()
            raise refused("could not read the topics", cause(error)) from error
        except LogError:
            self.close()
            raise

    def records(self, begin: Mapping[Partition, int] | None = None) -> Iterator[Record]:
        """Yield every record, in the order of each partition; with ``begin``, from these offsets on.

        Raises `LogError`.
        """
        starts = begin if begin is not None else {each.partition: each.low for each in self.partitions}
        ends = {each.partition: each.high for each in self.partitions if each.partition in starts}
        ends = {place: end for place, end in ends.items() if starts[place] < end}
        self._consumer.assign([TopicPartition(*place, starts[place]) for place in ends])
        while ends:
            message = self._consumer.poll(_PATIENCE)
            if message is None:
                raise LogError("the cluster does not go on", hint="is it up? try again")
            place, error = Partition(message.topic() or "", message.partition() or 0), message.error()
            if error is None and place in ends:
                record = record_of(message)
                if record.offset < ends[place]:
                    yield record
                if record.offset + 1 >= ends[place]:
                    del ends[place]
            elif error is not None and error.code() == KafkaError._PARTITION_EOF:
                ends.pop(place, None)  # its last offsets hold no records
            elif error is not None:
                raise refused("could not read", error)

    def close(self) -> None:
        """Leave the cluster."""
        self._consumer.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        self.close()

    def _partitions(self, topic: str) -> list[Assignment]:
        found = self._consumer.list_topics(topic, timeout=QUERY_DEADLINE).topics[topic]
        if found.error is not None:
            raise refused(f"could not read {topic}", found.error)
        places = [Partition(topic, number) for number in sorted(found.partitions)]
        return [Assignment(place, *self._watermarks(place)) for place in places]

    def _watermarks(self, place: Partition) -> tuple[int, int]:
        return self._consumer.get_watermark_offsets(TopicPartition(*place), timeout=QUERY_DEADLINE)
