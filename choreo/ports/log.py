"""``Log``: the sagas' topics, as the worker needs them: ordered records to read, and a way to publish."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple, Protocol

from choreo.records import Partition, Record


class Publication(NamedTuple):
    """One record to publish; ``seq``, the outbox's number, comes back when it is acknowledged."""

    seq: int
    topic: str
    key: bytes
    headers: Sequence[tuple[str, bytes]]
    value: bytes


class Assignment(NamedTuple):
    """A partition given to this worker, and the first and the next offset that its log holds."""

    partition: Partition
    low: int
    high: int


class Taken(NamedTuple):
    """What one `Log.take` brought.

    ``ended``: partitions of which everything that was there has been delivered.
    ``acknowledged``: the ``seq`` of publications that the log now holds durably.
    """

    records: Sequence[Record]
    ended: Sequence[Partition]
    acknowledged: Sequence[int]


class Log(Protocol):
    """Consumer and producer of the sagas' topics.

    Order is kept per key, for reading and for publishing. A publication may reach the log twice, but is not
    lost in silence: `take` reports it as acknowledged, or the log raises `LogError`.
    """

    def cluster_id(self) -> str:
        """Return the cluster's id, so that a store can't be used with another one. Raises `LogError`."""
        ...

    def subscribe(
        self,
        topics: Sequence[str],
        on_assign: Callable[[Sequence[Assignment]], Sequence[int]],
        on_revoke: Callable[[Sequence[Partition]], None],
    ) -> None:
        """Begin to consume ``topics``.

        ``on_assign`` is called inside `take` with partitions that are newly ours and returns the offset
        at which to begin each; what it raises, `take` raises. ``on_revoke`` is called inside `take`
        with partitions that are no longer ours.
        """
        ...

    def take(self, limit: int, wait: float) -> Taken:
        """Wait up to ``wait`` seconds for a first record, then take what is there, ``limit`` at most."""
        ...

    def publish(self, publications: Iterable[Publication]) -> None:
        """Hand publications over, in this order; never waits for their acknowledgement."""
        ...

    def flush(self, wait: float) -> Sequence[int]:
        """Wait up to ``wait`` seconds for what is in flight; return what was acknowledged meanwhile."""
        ...

    def commit(self, positions: Mapping[Partition, int]) -> None:
        """Commit how far this worker is, for lag monitors only: the store's positions are what counts."""
        ...

    def offsets_at(self, partitions: Sequence[Partition], timestamp: int) -> Sequence[int]:
        """Return each partition's first offset at or after ``timestamp`` (ms), or its end where none is."""
        ...

    def close(self) -> None:
        """Leave; what is in flight may or may not arrive."""
        ...
