"""``Phases``: the parts of the topics that each release of a lost store folded."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from choreo.ports import Assignment
from choreo.records import Partition, Record, Release


class Phases:
    """The offsets at which each release began, the first one at the beginning.

    A release whose offsets are not known, as its ``after`` is negative, begins at the first record of each
    partition that is not older than the release.
    """

    def __init__(self, releases: Sequence[Release], partitions: Sequence[Assignment]) -> None:
        self._highs = highs = {each.partition: each.high for each in partitions}
        self._releases = list(releases)
        self._starts = [
            {place: high if each.after < 0 else each.positions.get(place, 0) for place, high in highs.items()}
            for each in releases
        ]
        self._by_time = [number for number, each in enumerate(releases) if each.after < 0]

    def look_at(self, record: Record) -> None:
        """Find out where releases begin of which only the time is known, from every record of the topics."""
        place = Partition(record.topic, record.partition)
        for number in self._by_time:
            if record.timestamp >= self._releases[number].since:
                self._starts[number][place] = min(
                    self._starts[number].get(place, record.offset), record.offset
                )

    def all(self) -> Iterator[tuple[int, Release | None, Mapping[Partition, int]]]:
        """Yield each release with its place, and the offsets at which it ends; None where none is known."""
        if not self._releases:
            yield 0, None, self._highs
        for number, release in enumerate(self._releases):
            is_last = number + 1 == len(self._releases)
            ends = self._highs if is_last else self._ends(self._starts[number + 1])
            yield number, release._replace(positions=self._starts[number]), ends

    def _ends(self, starts: Mapping[Partition, int]) -> Mapping[Partition, int]:
        return {place: min(high, starts.get(place, 0)) for place, high in self._highs.items()}

    def records(
        self, records: Iterator[Record], begin: Mapping[Partition, int], ends: Mapping[Partition, int]
    ) -> Iterator[Record]:
        """Yield the records before the ends, as far as they must be read to find all of these."""
        left = {place for place, at in begin.items() if at < ends[place]}
        for record in records if left else ():
            place = Partition(record.topic, record.partition)
            if record.offset < ends[place]:
                yield record
            if record.offset + 1 >= ends[place]:
                left.discard(place)
                if not left:
                    return
