"""The claim of a store on its participant's consumer group, kept with the offsets that the group commits.

A store belongs to one participant; that a participant has one store only the group can tell. Each offset is
committed with the id of the store as its metadata, which needs no rights beyond those of a member, and lasts
as long as the offset: while the group has members, and then for the broker's ``offsets.retention.minutes``.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from choreo.errors import ConfigurationError, LogError, StoreMismatch
from choreo.kafka import settings as kafka_settings
from choreo.kafka.errors import cause, is_final, is_starting, refused
from choreo.kafka.settings import Setting
from choreo.records import Partition

_PREFIX: Final = "choreo store "
_QUERY_DEADLINE: Final = 5.0
_PAUSE: Final = 0.1
"""Seconds between two questions for what is committed."""

_JOINING: Final = 20.0
_LEAVING: Final = 3.0
"""Seconds for which a guest waits to be a member before it leaves: with the worker, or as it is stopped."""

UNCLAIMED_DEADLINE: Final = 20.0
"""Seconds in the group after which a worker gives up, where another member neither claims it nor leaves."""

_HELD: Final = (
    "start the worker with the store that it had; where that one is lost, or replaced for good, "
    "say so with `choreo store claim`"
)


class GroupClaim:
    """The claim of one store on one group, which works on ``partitions``.

    The store that is named with the lowest partition has the group. Where none is named, only the member
    that holds the lowest partition may claim it, and a partition is held by one member at a time: so of two
    new stores one gets the group, whenever they start.
    """

    def __init__(self, group: str, store_id: str, partitions: Sequence[Partition]) -> None:
        self.metadata = f"{_PREFIX}{store_id}"
        self.lowest = min(partitions)
        self._group = group
        self._store_id = store_id
        self._partitions = partitions

    def is_ours(self, consumer: Consumer) -> bool:
        """Whether the group is this store's; False where it is nobody's.

        Raises `StoreMismatch` where it is another's, `KafkaException` where the broker does not answer.
        """
        holder = holder_of(committed_offsets(consumer, self._partitions))
        if holder and holder != self._store_id:
            raise StoreMismatch(
                f"the consumer group {self._group} belongs to the store {holder}, not to {self._store_id}: "
                "two stores would divide its sagas between them",
                hint=_HELD,
            )
        return bool(holder)

    def take(self, consumer: Consumer) -> None:
        """Claim the group. Raises `KafkaException`, also where the member was put out of it meanwhile."""
        _write(consumer, committed_offsets(consumer, [self.lowest]), self.metadata)

    def refuse_unclaimed(self) -> None:
        """Raise `StoreMismatch` as another member holds the lowest partition and doesn't claim the group."""
        raise StoreMismatch(
            f"another worker is in the consumer group {self._group}, and does not say with which store",
            hint="it is of an older choreo, or has just ended: stop it, and start this one again",
        )


class Guest:
    """A member of a group for as long as it takes to claim it for a new store.

    It has no name in the group, unlike the worker's own member: when it leaves, the others have its
    partitions at once, and not only once its session is over. It reads nothing.
    """

    def __init__(self, settings: Mapping[str, Any], topics: Sequence[str], claim: GroupClaim) -> None:
        own = {name: value for name, value in settings.items() if name != "group.instance.id"}
        self._claim = claim
        self._held: set[Partition] = set()
        self._next = 0.0
        self._joined = 0.0
        self._leaves_at = 0.0
        self._is_decided = False
        self._refusal: StoreMismatch | None = None
        self._failure: LogError | None = None
        self._consumer = Consumer({**own, "error_cb": self._take_error})
        self._is_incremental = is_incremental(settings)
        self._consumer.subscribe(list(topics), on_assign=self._assigned, on_revoke=self._revoked)

    def has_claimed(self, wait: float) -> bool:
        """Take part in the group for ``wait`` seconds; whether it is the store's, and may be left, then.

        Raises `StoreMismatch` where it is another's, `LogError` for an error that waiting doesn't resolve.
        """
        self._consumer.poll(wait)
        if self._failure is not None:
            raise self._failure
        if not self._is_decided:
            self._decide()
        if not self._is_decided or not self._may_leave():
            return False
        if self._refusal is not None:
            raise self._refusal
        return True

    def leave(self) -> None:
        """Leave the group."""
        until = time.monotonic() + _LEAVING
        while not self._joined and self._failure is None and time.monotonic() < until:
            self._consumer.poll(0.05)
        self._consumer.close()

    def _decide(self) -> None:
        if time.monotonic() < self._next:
            return
        self._next = time.monotonic() + _PAUSE
        try:
            self._is_decided = self._claim.is_ours(self._consumer)
            if not self._is_decided and self._claim.lowest in self._held:
                self._claim.take(self._consumer)
                self._is_decided = self._claim.is_ours(self._consumer)
            if not self._is_decided and self._joined and time.monotonic() > self._joined + UNCLAIMED_DEADLINE:
                self._claim.refuse_unclaimed()
        except StoreMismatch as error:
            self._refusal = error
            self._is_decided = True
        except KafkaException as error:
            self._take_error(cause(error))

    def _may_leave(self) -> bool:
        """Whether the group knows this member: it would wait for one that leaves while it still joins."""
        self._leaves_at = self._leaves_at or time.monotonic() + _JOINING
        return self._joined > 0 or time.monotonic() > self._leaves_at

    def _assigned(self, consumer: Consumer, partitions: Sequence[TopicPartition]) -> None:
        self._joined = self._joined or time.monotonic()
        self._held.update(Partition(each.topic, each.partition) for each in partitions)
        consumer.incremental_assign([]) if self._is_incremental else consumer.assign([])

    def _revoked(self, consumer: Consumer, partitions: Sequence[TopicPartition]) -> None:
        self._held.difference_update(Partition(each.topic, each.partition) for each in partitions)
        consumer.incremental_unassign([]) if self._is_incremental else consumer.unassign()

    def _take_error(self, error: KafkaError) -> None:
        if is_final(error):
            self._failure = self._failure or refused("could not join the group", error)


def is_incremental(settings: Mapping[str, Any]) -> bool:
    """Whether a group's assignment changes by parts: a cooperative one, or that of KIP-848."""
    strategy = str(settings.get("partition.assignment.strategy", ""))
    return settings["group.protocol"] == "consumer" or "cooperative" in strategy


def claim_group(
    bootstrap: str,
    group: str,
    topics: Sequence[str],
    store_id: str,
    settings: Mapping[str, Setting] | None = None,
    *,
    patience: float = 60.0,
    on_wait: Callable[[], None] = lambda: None,
) -> str:
    """Let a store have a group without members; return the one that had it, empty where none had.

    A worker that has ended may be a member until its session is over: that is waited for, ``patience``
    seconds at most, and ``on_wait`` is called first. Raises `LogError` where the group still has members, or
    the cluster refuses.
    """
    own = settings or {}
    kafka_settings.check(own)
    try:
        consumer = Consumer(kafka_settings.of_consumer(bootstrap, group, "", own, False))
    except KafkaException as error:
        raise ConfigurationError(f"Kafka settings can't be used: {cause(error).str()}") from error
    until = time.monotonic() + patience
    try:
        found = committed_offsets(consumer, partitions_of(consumer, topics), _QUERY_DEADLINE)
        if holder_of(found) != store_id:
            _write_to_empty(consumer, found, f"{_PREFIX}{store_id}", until, on_wait)
        return holder_of(found)
    except KafkaException as error:
        raise _not_claimed(group, cause(error)) from error
    finally:
        consumer.close()


def _write_to_empty(
    consumer: Consumer,
    committed: Sequence[TopicPartition],
    metadata: str,
    until: float,
    on_wait: Callable[[], None],
) -> None:
    """Commit as soon as the group has no members."""
    while True:
        try:
            return _write(consumer, committed, metadata)
        except KafkaException as error:
            if cause(error).code() != KafkaError.UNKNOWN_MEMBER_ID or time.monotonic() > until:
                raise
        on_wait()
        on_wait = lambda: None  # noqa: E731
        time.sleep(1.0)


def partitions_of(consumer: Consumer, topics: Sequence[str]) -> list[Partition]:
    """Return the partitions of topics. Raises `KafkaException`, `LogError` for one that doesn't exist."""
    found = []
    for topic in topics:
        about = consumer.list_topics(topic, timeout=_QUERY_DEADLINE).topics[topic]
        if about.error is not None:
            raise refused(f"could not read {topic}", about.error)
        found += [Partition(topic, number) for number in about.partitions]
    return found


def holder_of(committed: Sequence[TopicPartition]) -> str:
    """Return the id of the store that has a group, by what it has committed; empty where none has."""
    named = {
        Partition(each.topic, each.partition): each.metadata.removeprefix(_PREFIX)
        for each in committed
        if each.metadata and each.metadata.startswith(_PREFIX)
    }
    return named[min(named)] if named else ""


def committed_offsets(
    consumer: Consumer, partitions: Sequence[Partition], patience: float = 0.0
) -> list[TopicPartition]:
    """Return what a group has committed, with the metadata.

    A broker that is about to serve the group is asked again, for ``patience`` seconds. Raises
    `KafkaException` where it does not answer, or refuses.
    """
    asked = [TopicPartition(*each) for each in partitions]
    until = time.monotonic() + patience
    while True:
        try:
            return consumer.committed(asked, timeout=_QUERY_DEADLINE)
        except KafkaException as error:
            if not is_starting(cause(error)) or time.monotonic() > until:
                raise
        time.sleep(_PAUSE)


def _write(consumer: Consumer, committed: Sequence[TopicPartition], metadata: str) -> None:
    """Commit what is committed, with other metadata; lag monitors see offset 0 where there was none."""
    offsets = [
        TopicPartition(each.topic, each.partition, max(each.offset, 0), metadata) for each in committed
    ]
    for each in consumer.commit(offsets=offsets, asynchronous=False) or ():
        if each.error is not None:
            raise KafkaException(each.error)


def _not_claimed(group: str, error: KafkaError) -> LogError:
    if error.code() == KafkaError.UNKNOWN_MEMBER_ID:
        return LogError(
            f"a worker is in the consumer group {group}",
            hint="stop it first",
        )
    return refused(f"could not claim the consumer group {group}", error)
