"""``Log``: the interface of the worker to the topics, which it consumes and to which it publishes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple, Protocol

from choreo.ports.topics import TopicState
from choreo.records import Partition, Record


class Publication(NamedTuple):
    """One record to publish; ``seq``, the number of its outbox row, identifies its acknowledgement."""

    seq: int
    topic: str
    key: bytes
    headers: Sequence[tuple[str, bytes]]
    value: bytes


class Refusal(NamedTuple):
    """A publication, by its ``seq``, that the cluster refuses for good, whatever is sent with it.

    ``is_missing``: its topic doesn't exist.
    """

    seq: int
    reason: str
    is_missing: bool = False


class Assignment(NamedTuple):
    """A partition assigned to this worker, with its low and high watermark (the next offset)."""

    partition: Partition
    low: int
    high: int


class Taken(NamedTuple):
    """The result of one `Log.take`.

    ``ended``: the partitions whose records have all been delivered, each with its end. That may be beyond
    the offset after the last record, since some offsets hold none: those of transactions' markers, say.
    ``acknowledged``: the ``seq`` of publications that are now durable in the log.
    ``refused``: publications that the log will never take, whatever comes behind them.
    """

    records: Sequence[Record]
    ended: Mapping[Partition, int]
    acknowledged: Sequence[int]
    refused: Sequence[Refusal] = ()


class Log(Protocol):
    """Consumer and producer of the sagas' topics.

    The order is kept for each key, for consuming and for publishing. A publication may reach the log twice,
    but is never lost silently: `take` reports it as acknowledged or refused, or the log raises `LogError`.
    One that is refused holds up no other.
    """

    def cluster_id(self) -> str:
        """Return the cluster's id, to which a store is bound. Raises `LogError`."""
        ...

    def claim(self, store_id: str, is_new: bool) -> None:
        """Claim the group for a store when it is joined, so that no other store works in it.

        ``is_new`` is a store that has never worked: it joins only once the claim is settled, and where that
        is another's, it leaves no trace in the group. `subscribe`, or `take` until the partitions begin,
        raises `StoreMismatch` where another store has the group. Nothing is published before.
        """
        ...

    def partitions(self, topics: Sequence[str]) -> Mapping[str, int]:
        """Return the number of partitions of each topic. Raises `LogError`."""
        ...

    def describe(self, topics: Sequence[str], wait: float) -> Sequence[TopicState] | None:
        """Return the topics as they are now, or None where the answer takes longer than ``wait`` seconds.

        A later call then returns it. Where the cluster has no answer at all, the sequence is empty. Raises
        `LogError`.
        """
        ...

    def subscribe(
        self,
        topics: Sequence[str],
        on_assign: Callable[[Sequence[Assignment]], Sequence[int]],
        on_revoke: Callable[[Sequence[Partition]], None],
    ) -> None:
        """Begin to consume ``topics``.

        ``on_assign`` is called inside `take` with newly assigned partitions, and returns the offset at which
        to begin each; `take` raises its exceptions. ``on_revoke`` is called inside `take` with revoked
        partitions.
        """
        ...

    def rejoin(self) -> None:
        """Join the group anew in the next `take`, as others have partitions that it gave to this worker."""
        ...

    def take(self, limit: int, wait: float) -> Taken:
        """Wait up to ``wait`` seconds for a first record, then take the available ones, ``limit`` at most."""
        ...

    def publish(self, publications: Iterable[Publication]) -> None:
        """Publish in this order, without waiting for acknowledgements."""
        ...

    def flush(self, wait: float) -> Sequence[int]:
        """Wait up to ``wait`` seconds for publications in flight; return the acknowledged ``seq``."""
        ...

    def commit(self, positions: Mapping[Partition, int]) -> None:
        """Commit positions, for lag monitors only: the worker uses those of the store."""
        ...

    def ends(self, partitions: Sequence[Partition]) -> Mapping[Partition, int]:
        """Return the newest known ends of assigned partitions, without asking the cluster.

        A partition whose end isn't known yet is left out.
        """
        ...

    def arriving(self) -> int:
        """Return how many partitions are this worker's that have not begun, as nobody tells their offsets."""
        ...

    def is_spare(self) -> bool:
        """Return whether the group has told this worker that it has no partition for it.

        A group of Kafka's newer protocol (KIP-848) doesn't tell that.
        """
        ...

    def offsets_at(self, partitions: Sequence[Partition], timestamp: int) -> Sequence[int]:
        """Return each partition's first offset at or after ``timestamp`` (ms), or its end where none is."""
        ...

    def close(self) -> None:
        """Leave the group; publications in flight may or may not arrive."""
        ...
