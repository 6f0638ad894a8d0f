"""A log that knows the points of the turn, and one that spoils a body."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from choreo.errors import LogError
from choreo.kafka import KafkaLog
from choreo.ports import Assignment, Publication, Taken
from choreo.records import Partition, Record
from tests.programs.faults.fault_point import FaultPoint

DEADLINE = 30.0


class StruckLog:
    """A log that passes the fault point at its own points; ``is_due`` is whether the deadline is due."""

    def __init__(
        self,
        log: KafkaLog,
        fault_point: FaultPoint,
        is_due: Callable[[], bool],
        rebalance: Callable[[], None],
    ) -> None:
        self._log = log
        self._fault_point = fault_point
        self._is_due = is_due
        self._rebalance = rebalance
        self._outcomes: set[int] = set()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._log, name)

    def subscribe(
        self,
        topics: Sequence[str],
        on_assign: Callable[[Sequence[Assignment]], Sequence[int]],
        on_revoke: Callable[[Sequence[Partition]], None],
    ) -> None:
        """Begin; what is revoked is a rebalance in between, where one was asked for."""

        def revoked(partitions: Sequence[Partition]) -> None:
            self._fault_point.reach("rebalance in between", LogError)
            on_revoke(partitions)

        self._log.subscribe(topics, on_assign, revoked)

    def take(self, limit: int, wait: float) -> Taken:
        """Take: the trigger, or word that the outcome is in the log."""
        taken = self._log.take(limit, wait)
        if any(self._is_trigger(record) for record in taken.records) or self._is_due():
            self._fault_point.at_hand = True
            self._fault_point.reach("taken", LogError)
            if self._fault_point.is_at("rebalance in between"):
                taken = self._until_struck(taken)
        if self._outcomes.intersection(taken.acknowledged):
            self._fault_point.reach("acked before marked", LogError)
        return taken

    def publish(self, publications: Iterable[Publication]) -> None:
        """Publish; every other seed, the broker is known to have it by the time of the fault."""
        publications = list(publications)
        self._log.publish(publications)
        ours = {each.seq for each in publications if self._is_outcome(each)}
        self._outcomes |= ours
        if ours and self._fault_point.is_at("produced before ack"):
            if self._fault_point.aim.seed % 2:
                self._log._producer._producer.flush(DEADLINE)  # its reports stay where `take` finds them
            self._fault_point.reach("produced before ack", LogError)

    def commit(self, positions: Mapping[Partition, int]) -> None:
        """Tell the lag monitors."""
        self._log.commit(positions)
        if self._outcomes:
            self._fault_point.reach("offset committed", LogError)

    def _until_struck(self, taken: Taken) -> Taken:
        """Let another member join, and wait for what that revokes; what comes meanwhile comes again."""
        self._rebalance()
        acknowledged = list(taken.acknowledged)
        deadline = time.monotonic() + DEADLINE
        while self._fault_point.is_at("rebalance in between"):
            acknowledged += self._log.take(1, 0.02).acknowledged
            if time.monotonic() > deadline:
                raise AssertionError("no rebalance came")
        return taken._replace(acknowledged=acknowledged)

    def _is_trigger(self, record: Record) -> bool:
        return self._fault_point.is_trigger(record.key, dict(record.headers).get("ce_type"))

    def _is_outcome(self, each: Publication) -> bool:
        return self._fault_point.is_outcome(each.key, dict(each.headers)["ce_outcome"])


class SpoilingLog:
    """A log that publishes the start of a saga with a body that nobody can read."""

    def __init__(self, log: KafkaLog, saga_id: str) -> None:
        self._log = log
        self._key = saga_id.encode()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._log, name)

    def publish(self, publications: Iterable[Publication]) -> None:
        """Publish, the saga's start spoilt."""
        self._log.publish([self._spoilt(each) for each in publications])

    def _spoilt(self, each: Publication) -> Publication:
        starts = each.key == self._key and dict(each.headers)["ce_step"] == b"start"
        return each._replace(value=b"spoilt") if starts else each
