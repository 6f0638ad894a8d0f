"""``Wire``: a participant's end of the log in a simulation, on which publications take their time."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence

from choreo.ports import Assignment, Publication, Taken
from choreo.records import Partition, Record
from choreo.testing.memory import MemoryLog

OnTaken = Callable[[Sequence[Record]], None]


class Wire:
    """Implements `choreo.ports.Log`: what is published is in flight until it is delivered, in order.

    ``on_taken`` is told what the worker takes, before it does anything with it. Where it is not ``is_open``,
    nothing comes in.
    """

    def __init__(self, log: MemoryLog, on_taken: OnTaken) -> None:
        self.log = log
        self.in_flight: deque[Publication] = deque()
        self.is_open = True
        self._on_taken = on_taken

    def deliver(self, publication: Publication) -> None:
        """Let the first one in flight arrive, as ``publication``: as it is, or spoiled on its way."""
        self.in_flight.popleft()
        self.log.publish([publication])

    def cluster_id(self) -> str:
        """Name the broker."""
        return self.log.cluster_id()

    def subscribe(
        self,
        topics: Sequence[str],
        on_assign: Callable[[Sequence[Assignment]], Sequence[int]],
        on_revoke: Callable[[Sequence[Partition]], None],
    ) -> None:
        """Join the group."""
        self.log.subscribe(topics, on_assign, on_revoke)

    def take(self, limit: int, wait: float) -> Taken:
        """Take what is there, and never wait."""
        del wait
        taken = self.log.take(limit if self.is_open else 0, 0.0)
        self._on_taken(taken.records)
        return taken

    def publish(self, publications: Iterable[Publication]) -> None:
        """Send off."""
        self.in_flight.extend(publications)

    def flush(self, wait: float) -> Sequence[int]:
        """Let everything arrive."""
        while self.in_flight:
            self.deliver(self.in_flight[0])
        return self.log.flush(wait)

    def commit(self, positions: Mapping[Partition, int]) -> None:
        """Tell the broker how far we are."""
        self.log.commit(positions)

    def offsets_at(self, partitions: Sequence[Partition], timestamp: int) -> Sequence[int]:
        """Look offsets up by time."""
        return self.log.offsets_at(partitions, timestamp)

    def close(self) -> None:
        """Leave the group; what is in flight is lost."""
        self.in_flight.clear()
        self.log.close()
