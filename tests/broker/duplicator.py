"""``Duplicator``: some records of a topic come twice, as from a relay that missed an acknowledgement."""

from __future__ import annotations

import random

from confluent_kafka import Consumer, Producer, TopicPartition


class Duplicator:
    """Reads a topic from its beginning, and appends a ``share`` of its records once more."""

    def __init__(self, bootstrap: str, topic: str, chance: random.Random, share: float = 0.1) -> None:
        self.count = 0
        self._topic = topic
        self._chance = chance
        self._share = share
        self._producer = Producer({"bootstrap.servers": bootstrap, "partitioner": "murmur2_random"})
        self._consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "echo"})
        partitions = self._consumer.list_topics(topic, timeout=10).topics[topic].partitions
        self._consumer.assign([TopicPartition(topic, number, 0) for number in partitions])

    def turn(self) -> None:
        """Repeat some of what has come since the last time."""
        for record in self._consumer.consume(1000, timeout=0):
            if record.error() is None and self._chance.random() < self._share:
                self._producer.produce(self._topic, record.value(), record.key(), headers=record.headers())
                self.count += 1
        self._producer.flush(10)

    def close(self) -> None:
        """Leave; the broker may end then."""
        self._consumer.close()
        self._producer.close()
