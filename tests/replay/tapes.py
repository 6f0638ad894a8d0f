"""The topics of a broker in memory, as a tape."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from choreo.participant import Participant
from choreo.ports import Assignment
from choreo.records import Partition, Record
from choreo.testing.broker import MemoryBroker


class MemoryTape:
    """What a broker in memory holds of a participant's topics, now."""

    def __init__(self, broker: MemoryBroker, participant: Participant) -> None:
        log = broker.log("tape")
        self.cluster_id = log.cluster_id()
        self.reads = 0
        self._broker = broker
        places = [
            Partition(topic, number)
            for topic in participant.topics
            for number in range(len(broker._tapes(topic)))
        ]
        tapes = [(place, broker.partition(place)) for place in places]
        self.partitions = [Assignment(place, tape.low, tape.high) for place, tape in tapes]

    def records(self, begin: Mapping[Partition, int]) -> Iterator[Record]:
        """Give what there was when the tape was made."""
        highs = {each.partition: each.high for each in self.partitions}
        for record in self._broker.records():
            place = Partition(record.topic, record.partition)
            if place in begin and begin[place] <= record.offset < highs[place]:
                self.reads += 1
                yield record
