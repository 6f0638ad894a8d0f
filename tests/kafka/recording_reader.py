"""``RecordingReader``: reads a log and keeps everything that it returned."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from choreo.ports import Assignment, Log, Publication
from choreo.records import Partition, Record

DEADLINE = 30.0


class RecordingReader:
    """Takes from a log until something holds; ``start`` says where a partition begins."""

    def __init__(
        self, log: Log, topic: str, start: Callable[[Assignment], int] = lambda each: each.low
    ) -> None:
        self.log = log
        self.topic = topic
        self.records: list[Record] = []
        self.ended: list[Partition] = []
        self.acknowledged: list[int] = []
        self.assigned: dict[Partition, Assignment] = {}
        self.revoked: list[Partition] = []
        self._start = start

    def subscribe(self) -> RecordingReader:
        """Begin."""
        self.log.subscribe([self.topic], self._on_assign, self.revoked.extend)
        return self

    def until(self, holds: Callable[[], bool]) -> RecordingReader:
        """Take until ``holds``; fails the test when that takes too long."""
        deadline = time.monotonic() + DEADLINE
        while not holds():
            assert time.monotonic() < deadline, f"waited too long; {self._told()}"
            self.take()
        return self

    def _told(self) -> str:
        """Return what came, for a failure's message."""
        came = {
            each: [r.offset for r in self.records if r.partition == each.number] for each in self.assigned
        }
        gaps = {each.number: sorted({*range(max(got))} - {*got}) for each, got in came.items() if got}
        counts = {each.number: len(got) for each, got in came.items()}
        return (
            f"{len(self.records)} records came, by partition {counts}, missing offsets {gaps}; "
            f"assigned {list(self.assigned.values())}, revoked {self.revoked}, ended {self.ended}"
        )

    def take(self, limit: int = 100, wait: float = 0.05) -> None:
        """Take once."""
        taken = self.log.take(limit, wait)
        self.records += taken.records
        self.ended += taken.ended
        self.acknowledged += taken.acknowledged

    def until_ended(self, partitions: int = 4) -> RecordingReader:
        """Take until every partition has ended once."""
        return self.until(lambda: len(set(self.ended)) == partitions)

    def until_records(self, count: int) -> RecordingReader:
        """Take until so many records came."""
        return self.until(lambda: len(self.records) >= count)

    def values(self, key: bytes) -> list[bytes | None]:
        """Return the values of one key, in the order in which they came."""
        return [each.value for each in self.records if each.key == key]

    def per_partition(self) -> dict[int, list[bytes | None]]:
        """Return the values of each partition, in the order in which they came."""
        seen: dict[int, list[bytes | None]] = {}
        for each in self.records:
            seen.setdefault(each.partition, []).append(each.value)
        return seen

    def _on_assign(self, assignments: Sequence[Assignment]) -> Sequence[int]:
        self.assigned.update({each.partition: each for each in assignments})
        return [self._start(each) for each in assignments]


def publications(topic: str, count: int, keys: int = 10, first: int = 0) -> list[Publication]:
    """Make small publications, numbered from ``first``, spread over keys."""
    return [
        Publication(seq, topic, f"saga-{seq % keys}".encode(), [("n", str(seq).encode())], str(seq).encode())
        for seq in range(first, first + count)
    ]


def publish(log: Log, topic: str, count: int, keys: int = 10, first: int = 0) -> None:
    """Publish small records and wait until the log holds them all."""
    log.publish(publications(topic, count, keys, first))
    acknowledged: list[int] = []
    deadline = time.monotonic() + DEADLINE
    while len(acknowledged) < count:
        assert time.monotonic() < deadline, "no acknowledgement came"
        acknowledged += log.flush(1.0)
    assert sorted(acknowledged) == list(range(first, first + count))
