"""``KafkaConsumer``: the consumer of the log, whose positions always come from the store."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

from confluent_kafka import OFFSET_END, Consumer, KafkaError, KafkaException, Message, TopicPartition

from choreo.errors import LogError
from choreo.kafka.errors import cause, is_final, refused
from choreo.ports import Assignment
from choreo.records import Partition, Record

QUERY_DEADLINE: Final = 5.0
"""Seconds to wait for the answer to one request."""

NEW_TOPIC_DEADLINE: Final = 2.0
"""Seconds in which every broker must know a topic that was just created."""

_log = logging.getLogger("choreo.kafka")

OnAssign = Callable[[Sequence[Assignment]], Sequence[int]]
OnRevoke = Callable[[Sequence[Partition]], None]


class KafkaConsumer:
    """Takes records in order; not thread-safe.

    librdkafka's callback only registers a rebalance. The partitions begin afterwards, inside `take` but
    outside of the callback: so exceptions of ``on_assign`` are raised by `take`, an outage at that moment is
    waited out, and records of a new assignment are never mixed with those of an old one.
    """

    def __init__(self, settings: Mapping[str, Any]) -> None:
        """Create the consumer. Raises `KafkaException` for a setting that librdkafka doesn't know."""
        self._consumer = Consumer({**settings, "error_cb": self._take_error, "on_commit": _committed})
        strategy = str(settings.get("partition.assignment.strategy", ""))
        incremental = settings["group.protocol"] == "consumer" or "cooperative" in strategy
        self._assign = self._consumer.incremental_assign if incremental else self._consumer.assign
        self._on_assign: OnAssign = _nowhere
        self._on_revoke: OnRevoke = _ignored
        self._arriving: list[Partition] = []
        self._begun: set[Partition] = set()
        self._gone: set[Partition] = set()
        self._ends: dict[Partition, int] = {}
        self._failure: Exception | None = None

    def subscribe(self, topics: Sequence[str], on_assign: OnAssign, on_revoke: OnRevoke) -> None:
        """Join the group. Raises `LogError` for a topic that doesn't exist or can't be read."""
        for topic in topics:
            self._look_up(topic)
        self._on_assign, self._on_revoke = on_assign, on_revoke
        self._consumer.subscribe(list(topics), on_assign=self._assigned, on_revoke=self._revoked)

    def take(self, limit: int, wait: float) -> tuple[list[Record], list[Partition]]:
        """Return records, and the partitions without further ones; see `choreo.ports.Log.take`."""
        self._gone.clear()
        messages = self._messages(limit, wait)
        if self._failure is not None:
            raise self._failure
        records, ended = self._sorted(messages)
        if self._ends:
            ended += self._reached(records)
        if self._arriving:
            ended += self._begin()
        return records, ended

    def commit(self, positions: Mapping[Partition, int]) -> None:
        """Commit positions for lag monitors; a failure has no consequence."""
        offsets = [TopicPartition(topic, number, offset) for (topic, number), offset in positions.items()]
        try:
            self._consumer.commit(offsets=offsets, asynchronous=True)
        except KafkaException as error:
            _log.debug("commit: %s", error)

    def offsets_at(self, partitions: Sequence[Partition], timestamp: int) -> list[int]:
        """Return each partition's first offset at or after a time (ms). Raises `LogError`.

        The embedded broker keeps no times: there, every partition's offset is its end.
        """
        asked = [TopicPartition(topic, number, timestamp) for topic, number in partitions]
        try:
            found = {
                Partition(each.topic, each.partition): each.offset
                for each in self._consumer.offsets_for_times(asked, timeout=QUERY_DEADLINE)
            }
            return [
                self._watermarks(each)[1] if found[each] == OFFSET_END else found[each] for each in partitions
            ]
        except KafkaException as error:
            raise refused("could not look up offsets by time", cause(error)) from error

    def close(self) -> None:
        """Leave the group; a static member stays in it until its session times out."""
        self._on_revoke = _ignored
        self._consumer.close()

    def _messages(self, limit: int, wait: float) -> list[Message]:
        """Wait for a first message, then take the available ones.

        They are taken singly, since librdkafka's batch call loses messages when the assignment changes.
        """
        messages: list[Message] = []
        poll = self._consumer.poll
        try:
            message = poll(wait)
            while message is not None:
                messages.append(message)
                message = poll(0) if len(messages) < limit else None
        except KafkaException as error:
            raise refused("could not read", cause(error)) from error
        return messages

    def _sorted(self, messages: list[Message]) -> tuple[list[Record], list[Partition]]:
        """Return the records and, from the end-of-partition messages, the partitions without further ones."""
        records: list[Record] = []
        ended: list[Partition] = []
        for message in messages:
            error = message.error()
            if error is None:
                records.append(record_of(message))
            elif error.code() == KafkaError._PARTITION_EOF:
                ended.append(Partition(message.topic() or "", message.partition() or 0))
            else:
                self._take_error(error)
        if self._failure is not None:
            raise self._failure
        if self._gone:
            records = [each for each in records if Partition(each.topic, each.partition) not in self._gone]
            ended = [each for each in ended if each not in self._gone]
        return records, ended

    def _reached(self, records: Iterable[Record]) -> list[Partition]:
        """Return the partitions that are read up to their end as of the assignment.

        The broker's own end-of-partition message comes only with an empty fetch, 0.5 s later.
        """
        reached = []
        for record in records:
            partition = Partition(record.topic, record.partition)
            end = self._ends.get(partition)
            if end is not None and record.offset + 1 >= end:
                del self._ends[partition]
                reached.append(partition)
        return reached

    def _begin(self) -> list[Partition]:
        """Begin the partitions that were assigned, or defer them while the cluster is unreachable."""
        try:
            found = [Assignment(each, *self._watermarks(each)) for each in self._arriving]
        except KafkaException as error:
            self._take_error(cause(error))
            return []
        offsets = self._on_assign(found)
        self._assign([TopicPartition(*each.partition, at) for each, at in zip(found, offsets, strict=True)])
        self._arriving = []
        self._begun.update(each.partition for each in found)
        self._ends.update(
            (each.partition, each.high) for each, at in zip(found, offsets, strict=True) if at < each.high
        )
        return [each.partition for each, at in zip(found, offsets, strict=True) if at == each.high]

    def _watermarks(self, partition: Partition) -> tuple[int, int]:
        return self._consumer.get_watermark_offsets(TopicPartition(*partition), timeout=QUERY_DEADLINE)

    def _look_up(self, topic: str) -> None:
        """Check that a topic exists; on the embedded broker the request creates it.

        A broker may know a new topic only a moment after its creation was confirmed.
        """
        deadline = time.monotonic() + NEW_TOPIC_DEADLINE
        while (error := self._topic_error(topic)) is not None:
            if error.code() != KafkaError.UNKNOWN_TOPIC_OR_PART or time.monotonic() > deadline:
                raise refused(f"could not subscribe to {topic}", error)
            time.sleep(0.05)

    def _topic_error(self, topic: str) -> KafkaError | None:
        try:
            found: KafkaError | None = (
                self._consumer.list_topics(topic, timeout=QUERY_DEADLINE).topics[topic].error
            )
        except KafkaException as exception:
            return cause(exception)
        return found

    def _assigned(self, _consumer: Consumer, partitions: Sequence[TopicPartition]) -> None:
        self._arriving += [Partition(each.topic, each.partition) for each in partitions]
        self._assign([])

    def _revoked(self, _consumer: Consumer, partitions: Sequence[TopicPartition]) -> None:
        gone = [Partition(each.topic, each.partition) for each in partitions]
        lost = [each for each in gone if each in self._begun]
        self._gone.update(gone)
        self._begun.difference_update(gone)
        self._arriving = [each for each in self._arriving if each not in self._gone]
        for each in gone:
            self._ends.pop(each, None)
        try:
            self._on_revoke(lost)
        except Exception as error:
            self._failure = self._failure or error

    def _take_error(self, error: KafkaError) -> None:
        """Store the first final error; log the others."""
        if is_final(error):
            self._failure = self._failure or refused("could not read", error)
        else:
            _log.info("reading: %s", error.str())


def record_of(message: Message) -> Record:
    """Return a message as a record, without headers where they can't be parsed."""
    try:
        headers = message.headers()
    except (UnicodeError, SystemError):  # a name that isn't UTF-8
        headers = None
    return Record(
        message.topic() or "",
        message.partition() or 0,
        message.offset() or 0,
        message.timestamp()[1],
        message.key(),
        headers or (),  # type: ignore[arg-type]
        message.value(),
    )


def _committed(error: KafkaError | None, _partitions: object) -> None:
    if error is not None:
        _log.debug("commit: %s", error)


def _nowhere(_assignments: Sequence[Assignment]) -> Sequence[int]:
    raise LogError("nothing is subscribed")


def _ignored(_partitions: Sequence[Partition]) -> None:
    """Do nothing, in place of a callback."""
