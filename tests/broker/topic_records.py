"""The records of a topic, read with a plain consumer."""

from __future__ import annotations

import time

from confluent_kafka import Consumer, TopicPartition

from choreo.records import Record

DEADLINE = 30.0


def records_of(bootstrap: str, topic: str) -> list[Record]:
    """Return all records that a topic holds now, in the order of each partition."""
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": f"reads-{topic}"})
    try:
        numbers = sorted(consumer.list_topics(topic, timeout=DEADLINE).topics[topic].partitions)
        return [record for number in numbers for record in _partition(consumer, topic, number)]
    finally:
        consumer.close()


def ends_of(bootstrap: str, topic: str) -> dict[int, int]:
    """Return the offset at which each partition ends."""
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": f"reads-{topic}"})
    try:
        numbers = sorted(consumer.list_topics(topic, timeout=DEADLINE).topics[topic].partitions)
        return {number: _end(consumer, topic, number) for number in numbers}
    finally:
        consumer.close()


def _partition(consumer: Consumer, topic: str, number: int) -> list[Record]:
    records: list[Record] = []
    end = _end(consumer, topic, number)
    consumer.assign([TopicPartition(topic, number, 0)])
    deadline = time.monotonic() + DEADLINE
    while not records or records[-1].offset + 1 < end:
        if not end:
            break
        assert time.monotonic() < deadline, f"{topic}[{number}] can't be read to its end"
        message = consumer.poll(0.5)
        if message is not None and message.error() is None:
            headers = tuple(message.headers() or ())
            stamp = message.timestamp()[1]
            records.append(
                Record(topic, number, message.offset(), stamp, message.key(), headers, message.value())
            )
    return records


def _end(consumer: Consumer, topic: str, number: int) -> int:
    end: int = consumer.get_watermark_offsets(TopicPartition(topic, number), timeout=DEADLINE)[1]
    return end
