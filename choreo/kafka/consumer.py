"""The reading side of the log: one consumer whose positions always come from the store."""

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
"""Seconds to wait for the answer to one question to the cluster."""

NEW_TOPIC_DEADLINE: Final = 2.0
"""Seconds in which a topic that was just created must be known to the broker that is asked."""

_log = logging.getLogger("choreo.kafka")

OnAssign = Callable[[Sequence[Assignment]], Sequence[int]]
OnRevoke = Callable[[Sequence[Partition]], None]


class Reader:
    """Takes records in order; not for use by two threads at once.

    A rebalance is only noted while librdkafka calls us. The partitions begin afterwards, inside `take`
    but outside of the callback: so an exception of ``on_assign`` is an ordinary one, an outage at just
    that moment is waited out, and no record of a new assignment can mix with those of an old one.
    """

    def __init__(self, settings: Mapping[str, Any]) -> None:
        """Make the consumer; raises `KafkaException` for a setting that librdkafka doesn't know."""
        self._consumer = Consumer({**settings, "error_cb": self._heard, "on_commit": _committed})
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
        """Join the group; raises `LogError` for a topic that doesn't exist or can't be read."""
        for topic in topics:
            self._look_up(topic)
        self._on_assign, self._on_revoke = on_assign, on_revoke
        self._consumer.subscribe(list(topics), on_assign=self._assigned, on_revoke=self._revoked)

    def take(self, limit: int, wait: float) -> tuple[list[Record], list[Partition]]:
        """Take records, and the partitions that have no more; see `choreo.ports.Log.take`."""
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
        """Tell the group's position to lag monitors; a failure is of no consequence."""
        offsets = [TopicPartition(topic, number, offset) for (topic, number), offset in positions.items()]
        try:
            self._consumer.commit(offsets=offsets, asynchronous=True)
        except KafkaException as error:
            _log.debug("commit: %s", error)

    def offsets_at(self, partitions: Sequence[Partition], timestamp: int) -> list[int]:
        """Give each partition's first offset at or after a time (ms); raises `LogError`.

        The embedded broker finds no times: there, every partition gives its end.
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
        """Leave the group; a static member keeps its place in it until the session runs out."""
        self._on_revoke = _ignored
        self._consumer.close()

    def _messages(self, limit: int, wait: float) -> list[Message]:
        """Wait for a first message, then take what is there.

        One by one: librdkafka's batch call throws messages away when an assignment changes under it.
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
        """Tell records from the notices among them."""
        records: list[Record] = []
        ended: list[Partition] = []
        for message in messages:
            error = message.error()
            if error is None:
                records.append(record_of(message))
            elif error.code() == KafkaError._PARTITION_EOF:
                ended.append(Partition(message.topic() or "", message.partition() or 0))
            else:
                self._heard(error)
        if self._failure is not None:
            raise self._failure
        if self._gone:
            records = [each for each in records if Partition(each.topic, each.partition) not in self._gone]
            ended = [each for each in ended if each not in self._gone]
        return records, ended

    def _reached(self, records: Iterable[Record]) -> list[Partition]:
        """Give the partitions of which we now have all that was there when they became ours.

        The broker's own notice of a partition's end comes only with an empty fetch, 0.5 s later.
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
        """Begin the partitions that were assigned, or leave them for later while the cluster is away."""
        try:
            found = [Assignment(each, *self._watermarks(each)) for each in self._arriving]
        except KafkaException as error:
            self._heard(cause(error))
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
        """Make sure that a topic is there; asking is what creates it on the embedded broker.

        A broker may learn of a new topic a moment after its creation was confirmed.
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
        told = [each for each in gone if each in self._begun]
        self._gone.update(gone)
        self._begun.difference_update(gone)
        self._arriving = [each for each in self._arriving if each not in self._gone]
        for each in gone:
            self._ends.pop(each, None)
        try:
            self._on_revoke(told)
        except Exception as error:
            self._failure = self._failure or error

    def _heard(self, error: KafkaError) -> None:
        """Note what can't be helped by waiting; log the rest."""
        if is_final(error):
            self._failure = self._failure or refused("could not read", error)
        else:
            _log.info("reading: %s", error.str())


def record_of(message: Message) -> Record:
    """Give a message as a record; one whose headers can't be taken apart goes on without."""
    try:
        headers = message.headers()
    except (UnicodeError, SystemError):  # a name that isn't UTF-8: the record goes on without headers
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
    """Stand in for a callback that nobody wants any more."""
