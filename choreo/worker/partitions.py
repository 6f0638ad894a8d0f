"""``Partitions``: the assignment of a worker, its positions, and the offsets from which it acts."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Literal

from choreo.errors import StoreMismatch
from choreo.ports import Assignment, Log, Store
from choreo.records import Partition, Record
from choreo.worker.item import TriggerEvent
from choreo.worker.topics import UNBEGUN, Topics

log = logging.getLogger("choreo.worker")

From = Literal["earliest", "latest"] | datetime


class Partitions:
    """The partitions that are assigned to one worker; on a new one it acts from the position ``start``.

    ``positions`` are the offsets to fold next. A partition is live once everything that the log held at its
    assignment has been folded (R4): until then, the due work of its sagas, and only theirs, waits.
    ``live`` is whether all that are assigned are, ``complete`` whether all are of which the store shows rows:
    all that it knows, of which one may be not assigned, or not begun as its leader is away; or those that
    were taken over, where several workers share it. ``deaths`` is how many owners of what was assigned last
    ended without a stop. Where it ``postpones``, work is only scheduled too,
    so that each handler runs in a turn of its own.
    """

    def __init__(self, store: Store, records: Log, start: From, topics: Topics) -> None:
        self.live = False
        self.complete = False
        self.postpones = False
        self.deaths = 0
        self.positions: dict[Partition, int] = {}
        self._store = store
        self._log = records
        self._start = start
        self._topics = topics
        self._known: set[Partition] = set()
        self._live: set[tuple[str, int]] = set()
        self._behind: dict[Partition, int] = {}
        self._ended: dict[Partition, int] = {}
        self._joined: Mapping[Partition, tuple[int, int]] = {}

    @property
    def any_live(self) -> bool:
        """Whether there is a partition whose sagas may be acted on."""
        return bool(self._live)

    def acts_on(self, topic: str, partition: int) -> bool:
        """Whether the sagas of a partition may be acted on."""
        return self.complete or (topic, partition) in self._live

    def dispatches(self, topic: str, partition: int) -> bool:
        """Whether handlers run in the turn of the event that calls them, for the sagas of a partition."""
        return not self.postpones and self.acts_on(topic, partition)

    def undo(self, before: Mapping[Partition, int]) -> None:
        """Go back to the positions of before a turn that was rolled back."""
        self.positions.update(before)

    def assign(self, assignments: Sequence[Assignment]) -> list[int]:
        """Return the offsets at which to begin: of the store, or the beginning of a new partition."""
        known, joined = self._store.positions(), self._store.joined()
        with self._store.turn():
            for new in assignments:
                position = known.get(new.partition)
                if position is None and self._topics.is_added(new.partition):
                    # It holds nothing of before, but may hold events of sagas in flight.
                    self._store.join(new.partition, new.low, new.high, new.low)
                elif position is None or (position, joined[new.partition][1]) == (UNBEGUN, UNBEGUN):
                    self._store.join(new.partition, new.low, new.high, self._acts_from(new))
                elif position == UNBEGUN:
                    self._store.advance(new.partition, UNBEGUN, new.low)
            self._store.identify(self._topics.ids)
            self.deaths = self._store.take_over([each.partition for each in assignments])
        known = self._store.positions()
        for each in assignments:
            _check_range(each, known[each.partition])
            self.positions[each.partition] = known[each.partition]
            self._behind[each.partition] = each.high
            self._ended.pop(each.partition, None)
            self._live.discard(each.partition)
        self._known = set(self.positions)
        if self._store.serves_one:
            self._known |= {each for each in known if each.topic in self._topics.read}
        self._joined = self._store.joined()
        self.live = self.complete = False
        return [known[each.partition] for each in assignments]

    def revoke(self, partitions: Iterable[Partition]) -> None:
        """Remove partitions that are assigned to another worker."""
        for partition in partitions:
            self.positions.pop(partition, None)
            self._behind.pop(partition, None)
            self._ended.pop(partition, None)
            self._live.discard(partition)
            self.complete = False
        if not self._store.serves_one:
            self._known = set(self.positions)
            self.live = self.live and bool(self.positions)
            self.complete = self.live and self._live >= self._known

    def end_at(self, ended: Mapping[Partition, int]) -> None:
        """Note the ends of partitions, which follow the records taken so far.

        A position moves to them, although the last offsets may hold no records: retention could otherwise
        delete what is never delivered, and leave the position in front of the log.
        """
        for partition, end in ended.items():
            position = self.positions.get(partition)
            if position is not None and (position < end or partition in self._behind):
                self._ended[partition] = end

    @property
    def catching_up(self) -> int:
        """How many partitions hold records of before their assignment that are not folded yet."""
        return len(self._behind)

    @property
    def have_ended(self) -> bool:
        """Whether there are ends to move positions to."""
        return bool(self._ended)

    def move_to_ends(self) -> None:
        """Move positions to the ends of their partitions, once all records taken so far are processed.

        The last offsets may hold no records. They are saved in a turn of their own.
        """
        before = dict(self.positions)
        for partition, end in self._ended.items():
            self.positions[partition] = max(self.positions[partition], end)
        if before != self.positions:
            with self._store.turn():
                self.save(before)
        for partition, end in self._ended.items():  # the log says each of them once
            if partition in self._behind:
                self._behind[partition] = min(self._behind[partition], end)
        self._ended.clear()

    def go_live(self, participant: str) -> bool:
        """Let the partitions go live whose end at the assignment is folded (R4); whether there was one."""
        reached = [each for each, end in self._behind.items() if self.positions[each] >= end]
        for partition in reached:
            del self._behind[partition]
            self._live.add(partition)
        if self.positions and not self._behind:
            self.live = True
            self.complete = self._live >= self._known
            log.info("%s is live on %d partitions", participant, len(self.positions))
        return bool(reached)

    def advance(self, record: Record) -> bool:
        """Advance the position beyond a record, and return whether the record must be folded.

        It must not if its partition was revoked meanwhile, or if it is delivered again after a rebalance.
        """
        partition: Any = record[:2]  # equal to its `Partition`, and made faster
        position = self.positions.get(partition)
        if position is None or record.offset < position:
            return False
        self.positions[partition] = record.offset + 1
        return True

    def save(self, before: Mapping[Partition, int]) -> None:
        """Write the positions that have changed since ``before`` to the store, inside the turn.

        After a turn that was rolled back, ``before`` is ahead of the store, which then refuses to go on.
        """
        for partition, position in self.positions.items():
            if position != before[partition]:
                self._store.advance(partition, before[partition], position)

    def is_before_start(self, where: TriggerEvent | Record) -> bool:
        """Whether an event is before the offset from which this participant acts."""
        return where.offset < self._joined.get(Partition(where.topic, where.partition), (0, 0))[1]

    def is_joining(self, trigger: TriggerEvent) -> bool:
        """Whether an event was already in the log when this participant joined."""
        return trigger.offset < self._joined.get(Partition(trigger.topic, trigger.partition), (0, 0))[0]

    def _acts_from(self, new: Assignment) -> int:
        if self._start == "earliest":
            return new.low
        if self._start == "latest":
            return new.high
        milliseconds = round(self._start.timestamp() * 1000)
        return self._log.offsets_at([new.partition], milliseconds)[0]


def _check_range(assignment: Assignment, position: int) -> None:
    if not assignment.low <= position <= assignment.high:
        raise StoreMismatch(
            f"{assignment.partition.topic}[{assignment.partition.number}]: the store stands at offset "
            f"{position}, the log holds {assignment.low} to {assignment.high}",
            hint="was the topic made anew, or were its records deleted before this participant read them?",
        )
