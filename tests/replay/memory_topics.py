"""The topics of a broker in memory, read as `choreo.kafka.topic_reader` reads those of a cluster."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from choreo.participant import Participant
from choreo.ports import Assignment
from choreo.records import Partition, Record
from choreo.testing.broker import MemoryBroker


class MemoryTopics:
    """The records of a participant's topics on a broker in memory, as they are now."""

    def __init__(self, broker: MemoryBroker, participant: Participant) -> None:
        self.cluster_id = broker.name
        self.reads = 0
        self._broker = broker
        places = [
            Partition(topic, number)
            for topic in participant.topics
            for number in range(len(broker._partitions_of(topic)))
        ]
        stored = [(place, broker.partition(place)) for place in places]
        self.partitions = [Assignment(place, each.low, each.high) for place, each in stored]

    def records(self, begin: Mapping[Partition, int]) -> Iterator[Record]:
        """Yield the records that were there when this was made."""
        highs = {each.partition: each.high for each in self.partitions}
        for record in self._broker.records():
            place = Partition(record.topic, record.partition)
            if place in begin and begin[place] <= record.offset < highs[place]:
                self.reads += 1
                yield record
