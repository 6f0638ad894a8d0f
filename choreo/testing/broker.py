"""``MemoryBroker``: a broker in memory, for the participants of one process.

It has Kafka's guarantees (order per partition, groups, watermarks, the same partition for the same key)
without a thread or a clock of its own: with ``wait=0`` a test is as deterministic as its calls.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from threading import Condition
from typing import NamedTuple

from confluent_kafka.cimpl import murmur2

from choreo.errors import LogError
from choreo.ports import Assignment, Clock, Publication, Refusal, Taken, TopicState
from choreo.records import Partition, Record

Headers = Sequence[tuple[str, bytes | None]]


class _StoredPartition:
    """The records of one partition; ``low`` is the offset of the oldest one."""

    def __init__(self) -> None:
        self.low = 0
        self.records: list[Record] = []

    @property
    def high(self) -> int:
        return self.low + len(self.records)

    def after(self, offset: int, limit: int) -> list[Record]:
        at = offset - self.low
        return self.records[at : at + limit]


class _Group:
    """A consumer group: its members, and the holder of each partition."""

    def __init__(self) -> None:
        self.members: list[MemoryLog] = []
        self.holders: dict[Partition, MemoryLog] = {}

    def leave(self, member: MemoryLog) -> None:
        self.members = [each for each in self.members if each is not member]
        self.holders = {each: holder for each, holder in self.holders.items() if holder is not member}


class _Change(NamedTuple):
    """The partitions that a member loses and gains at a rebalance."""

    lost: list[Partition]
    gained: list[Assignment]


class MemoryBroker:
    """A broker that creates topics on first use, with ``partitions`` partitions.

    ``clock`` stamps the records, by default that of the machine. ``name`` is the cluster's id, to which
    stores are bound; by default it is unique.
    """

    def __init__(self, partitions: int = 4, clock: Clock | None = None, name: str = "") -> None:
        self.name = name or f"memory-{id(self):x}"
        self._partitions = partitions
        self._clock = clock
        self._topics: dict[str, list[_StoredPartition]] = {}
        self._groups: dict[str, _Group] = {}
        self._appended: list[Record] = []
        self._made: dict[str, int] = {}
        self._settings: dict[str, dict[str, str]] = {}
        self._up = True
        self.changed = Condition()
        """Notified whenever there may be new records or partitions for a member."""

    def log(self, group: str, instance: str = "") -> MemoryLog:
        """Return a participant's log; an older one with the same ``instance`` is fenced (KIP-345)."""
        return MemoryLog(self, group, instance)

    def create_topic(self, topic: str, partitions: int) -> None:
        """Create a topic, unless it exists."""
        with self.changed:
            if topic not in self._topics:
                self._topics[topic] = [_StoredPartition() for _ in range(partitions)]
                self._made[topic] = self._made.get(topic, 0) + 1

    def delete_topic(self, topic: str) -> None:
        """Delete a topic with its records; another one may be made under its name."""
        with self.changed:
            self._topics.pop(topic, None)
            self.changed.notify_all()

    def add_partitions(self, topic: str, count: int) -> None:
        """Add partitions to a topic."""
        with self.changed:
            self._partitions_of(topic).extend(_StoredPartition() for _ in range(count))
            self.changed.notify_all()

    def configure(self, topic: str, settings: Mapping[str, str]) -> None:
        """Set settings of a topic, by Kafka's names; ``max.message.bytes`` is enforced, for bodies."""
        with self.changed:
            self._settings.setdefault(topic, {}).update(settings)

    def describe(self, topic: str) -> TopicState:
        """Return a topic as a cluster of three brokers describes it; for `MemoryLog`."""
        with self.changed:
            partitions = len(self._partitions_of(topic))
            return TopicState(
                topic, f"{topic}-{self._made[topic]}", partitions, 3, dict(self._settings.get(topic, {}))
            )

    def refusal(self, publication: Publication) -> str:
        """Return why a publication is refused, empty where it is not; for `MemoryLog`."""
        most = self._settings.get(publication.topic, {}).get("max.message.bytes")
        too_large = most is not None and len(publication.value) > int(most)
        return f"{publication.topic}: the body is larger than {most} bytes" if too_large else ""

    def records(self, topic: str = "") -> list[Record]:
        """Return every record ever appended, in order, or those of one topic."""
        with self.changed:
            return [each for each in self._appended if topic in ("", each.topic)]

    @property
    def latest(self) -> Record | None:
        """The record that was appended last, or None."""
        return self._appended[-1] if self._appended else None

    def append(
        self,
        topic: str,
        key: bytes | None,
        headers: Headers,
        value: bytes | None,
        partition: int | None = None,
    ) -> Record:
        """Append a record, valid or not, as any producer could; a null key goes to partition 0."""
        with self.changed:
            partitions = self._partitions_of(topic)
            number = partition
            if number is None:
                number = 0 if key is None else murmur2(key, len(partitions))
            record = Record(topic, number, partitions[number].high, self._now(), key, tuple(headers), value)
            partitions[number].records.append(record)
            self._appended.append(record)
            self.changed.notify_all()
            return record

    def repeat(self, record: Record) -> Record:
        """Append a record again, as a producer does whose acknowledgement was lost."""
        return self.append(record.topic, record.key, record.headers, record.value, record.partition)

    def forget(self, partition: Partition, before: int) -> None:
        """Delete the records below an offset, as retention does."""
        with self.changed:
            stored = self._partitions_of(partition.topic)[partition.number]
            stored.records, stored.low = stored.after(before, len(stored.records)), max(stored.low, before)

    def expel(self, log: MemoryLog) -> None:
        """Remove a member, as its session timeout does; its partitions are assigned to the others."""
        with self.changed:
            self._group(log.group).leave(log)
            self.changed.notify_all()

    def stop(self) -> None:
        """Begin an outage: nothing is delivered or acknowledged until `start`."""
        with self.changed:
            self._up = False

    def start(self) -> None:
        """End an outage."""
        with self.changed:
            self._up = True
            self.changed.notify_all()

    @property
    def up(self) -> bool:
        """Whether there is no outage."""
        return self._up

    def partition(self, partition: Partition) -> _StoredPartition:
        """Return one partition; for `MemoryLog`."""
        return self._partitions_of(partition.topic)[partition.number]

    def join(self, log: MemoryLog) -> None:
        """Make a log a member of its group; for `MemoryLog`."""
        with self.changed:
            group = self._group(log.group)
            for other in group.members:
                if other.instance and other.instance == log.instance:
                    other.fenced = True
                    group.leave(other)
            group.members.append(log)
            self.changed.notify_all()

    def rebalance(self, log: MemoryLog, topics: Sequence[str], held: Iterable[Partition]) -> _Change:
        """Return the partitions that a member loses, and those released by others that it gains."""
        group = self._group(log.group)
        share = self._share(group, log, topics)
        lost = [each for each in held if each not in share]
        for each in lost:
            if group.holders.get(each) is log:
                del group.holders[each]
                self.changed.notify_all()
        gained = [each for each in share if each not in group.holders]
        group.holders.update(dict.fromkeys(gained, log))
        return _Change(
            lost, [Assignment(each, self.partition(each).low, self.partition(each).high) for each in gained]
        )

    def is_spare(self, log: MemoryLog, topics: Sequence[str]) -> bool:
        """Return whether a member has no partition; for `MemoryLog`."""
        group = self._group(log.group)
        return log in group.members and not self._share(group, log, topics)

    def _share(self, group: _Group, log: MemoryLog, topics: Sequence[str]) -> list[Partition]:
        if log not in group.members:
            return []
        place, count = group.members.index(log), len(group.members)
        every = [
            Partition(topic, number) for topic in topics for number in range(len(self._partitions_of(topic)))
        ]
        return [each for each in every if each.number % count == place]

    def _partitions_of(self, topic: str) -> list[_StoredPartition]:
        if topic not in self._topics:
            self.create_topic(topic, self._partitions)
        return self._topics[topic]

    def _group(self, name: str) -> _Group:
        return self._groups.setdefault(name, _Group())

    def _now(self) -> int:
        return self._clock.now() if self._clock else time.time_ns() // 1_000_000


class MemoryLog:
    """One participant's log on a `MemoryBroker`; implements `choreo.ports.Log`."""

    def __init__(self, broker: MemoryBroker, group: str, instance: str = "") -> None:
        self.group = group
        self.instance = instance
        self.fenced = False
        self.committed: dict[Partition, int] = {}
        self._broker = broker
        self._topics: Sequence[str] = ()
        self._on_assign: Callable[[Sequence[Assignment]], Sequence[int]] = lambda _: ()
        self._on_revoke: Callable[[Sequence[Partition]], None] = lambda _: None
        self._positions: dict[Partition, int] = {}
        self._rejoins = False
        self._waiting: deque[Publication] = deque()
        self._acknowledged: list[int] = []
        self._refused: list[Refusal] = []

    def cluster_id(self) -> str:
        """Return the broker's name. Raises `LogError` during an outage."""
        if not self._broker.up:
            raise LogError("the broker in memory is stopped")
        return self._broker.name

    def partitions(self, topics: Sequence[str]) -> Mapping[str, int]:
        """Return the number of partitions of each topic."""
        return {each: self._broker.describe(each).partitions for each in topics}

    def describe(self, topics: Sequence[str], wait: float) -> Sequence[TopicState] | None:
        """Describe topics, at once. Raises `LogError` during an outage."""
        del wait
        if not self._broker.up:
            raise LogError("the broker in memory is stopped")
        return [self._broker.describe(each) for each in topics]

    def claim(self, store_id: str, is_new: bool) -> None:
        """Do nothing: in a test, a store may replace another one at any time."""

    def subscribe(
        self,
        topics: Sequence[str],
        on_assign: Callable[[Sequence[Assignment]], Sequence[int]],
        on_revoke: Callable[[Sequence[Partition]], None],
    ) -> None:
        """Join the group."""
        self._topics, self._on_assign, self._on_revoke = tuple(topics), on_assign, on_revoke
        self._broker.join(self)

    def rejoin(self) -> None:
        """Join the group anew in the next `take`."""
        self._rejoins = True

    def take(self, limit: int, wait: float) -> Taken:
        """Take the available records; where there are none, wait for some, ``wait`` seconds at most."""
        deadline = time.monotonic() + wait if wait else 0.0
        while True:
            taken = self._take(limit)
            if any(taken) or not wait:
                return taken
            with self._broker.changed:
                left = deadline - time.monotonic()
                if left <= 0 or (not self._has_more() and not self._broker.changed.wait(left)):
                    return taken

    def publish(self, publications: Iterable[Publication]) -> None:
        """Append publications, at once or after the outage."""
        self._waiting.extend(publications)
        self._deliver()

    def flush(self, wait: float) -> Sequence[int]:
        """Return the acknowledged ``seq`` without waiting: only an outage keeps publications in flight."""
        del wait
        self._deliver()
        acknowledged, self._acknowledged = self._acknowledged, []
        return acknowledged

    def commit(self, positions: Mapping[Partition, int]) -> None:
        """Add the positions to ``committed``."""
        self.committed.update(positions)

    def ends(self, partitions: Sequence[Partition]) -> Mapping[Partition, int]:
        """Return the ends as they are."""
        with self._broker.changed:
            return {each: self._broker.partition(each).high for each in partitions}

    def arriving(self) -> int:
        """Return 0: each partition begins at once."""
        return 0

    def is_spare(self) -> bool:
        """Return whether there are more members than partitions."""
        return self._broker.is_spare(self, self._topics)

    def offsets_at(self, partitions: Sequence[Partition], timestamp: int) -> Sequence[int]:
        """Look offsets up by time (ms)."""
        with self._broker.changed:
            found = [self._broker.partition(each) for each in partitions]
            return [
                next((each.offset for each in stored.records if each.timestamp >= timestamp), stored.high)
                for stored in found
            ]

    def close(self) -> None:
        """Leave the group; publications that wait for the end of an outage are lost."""
        self._waiting.clear()
        self._broker.expel(self)

    @property
    def has_news(self) -> bool:
        """Whether `take` would bring a record, or the acknowledgement of a publication."""
        with self._broker.changed:
            return self._broker.up and bool(self._acknowledged or self._refused or self._has_more())

    def _take(self, limit: int) -> Taken:
        if self.fenced:
            raise LogError(
                "another member took our place: fenced", hint="give each worker its own instance name"
            )
        acknowledged = self.flush(0)
        refused, self._refused = self._refused, []
        if not self._broker.up:
            return Taken((), {}, acknowledged, refused)
        begun = self._rebalance()
        with self._broker.changed:
            records = self._next(limit)
            reached = {*begun, *(Partition(each.topic, each.partition) for each in records)}
            ended = {
                each: self._positions[each]
                for each in reached
                if self._positions.get(each) == self._broker.partition(each).high
            }
        return Taken(records, ended, acknowledged, refused)

    def _rebalance(self) -> list[Partition]:
        if self._rejoins:
            self._rejoins = False
            self._broker.expel(self)
            self._broker.join(self)
        with self._broker.changed:
            change = self._broker.rebalance(self, self._topics, list(self._positions))
        for each in change.lost:
            del self._positions[each]
        if change.lost:
            self._on_revoke(change.lost)
        if change.gained:
            offsets = self._on_assign(change.gained)
            gained = [each.partition for each in change.gained]
            self._positions.update(zip(gained, offsets, strict=True))
        return [each.partition for each in change.gained]

    def _next(self, limit: int) -> list[Record]:
        records: list[Record] = []
        for partition, position in self._positions.items():
            stored = self._broker.partition(partition)
            if not stored.low <= position <= stored.high:
                raise LogError(
                    f"offset {position} of {partition.topic}/{partition.number} is out of range",
                    hint="retention deleted what was not read yet, or the topic was made anew",
                )
            found = stored.after(position, limit - len(records))
            self._positions[partition] = position + len(found)
            records += found
        return records

    def _has_more(self) -> bool:
        return self._broker.up and any(
            self._broker.partition(each).high > position for each, position in self._positions.items()
        )

    def _deliver(self) -> None:
        while self._waiting and self._broker.up:
            each = self._waiting.popleft()
            if reason := self._broker.refusal(each):
                self._refused.append(Refusal(each.seq, reason))
                continue
            self._broker.append(each.topic, each.key, each.headers, each.value)
            self._acknowledged.append(each.seq)
