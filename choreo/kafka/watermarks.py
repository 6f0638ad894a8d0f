"""``Watermarks``: asks brokers for partitions' watermarks; one that doesn't answer holds up its own only."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from queue import Empty, SimpleQueue
from threading import Event, Thread
from typing import Final, NamedTuple

from confluent_kafka import KafkaError, KafkaException

from choreo.kafka.errors import cause
from choreo.records import Partition

_PAUSE: Final = 0.5
"""Seconds until a partition whose broker did not answer is asked for again."""

_SLOW: Final = 0.5
"""Seconds after which an error means that the broker does not answer at all."""


class Answer(NamedTuple):
    """The watermarks of a partition, low and high, asked at a time (monotonic), or the error instead."""

    partition: Partition
    asked: float
    low: int = 0
    high: int = 0
    error: KafkaError | None = None


class Watermarks:
    """Asks in a thread for each broker, as a question may take seconds where a broker is away.

    ``leaders`` returns the partitions that have a leader, with its number; ``ask`` returns the watermarks of
    one partition. Both may raise `KafkaException`, and both must end within a few seconds.
    """

    def __init__(
        self,
        leaders: Callable[[Sequence[Partition]], Mapping[Partition, int]],
        ask: Callable[[Partition], tuple[int, int]],
    ) -> None:
        self._leaders = leaders
        self._ask = ask
        self._answers: SimpleQueue[list[Answer]] = SimpleQueue()
        self._threads: dict[int, Thread] = {}
        self._failed: set[Partition] = set()
        self._round: Thread | None = None
        self._next = 0.0
        self._stopping = Event()

    def hurry(self) -> None:
        """Ask at the next `want`, also where it was done a moment ago."""
        self._next = 0.0

    def want(self, partitions: Sequence[Partition]) -> None:
        """Ask for the watermarks of partitions, unless it was done a moment ago."""
        if self._round is not None and self._round.is_alive():
            return
        if time.monotonic() >= self._next:
            self._next = time.monotonic() + _PAUSE
            self._round = self._start(self._ask_all, tuple(partitions))

    def answers(self, wait: float) -> list[Answer]:
        """Return what was answered since the last call; wait ``wait`` seconds for a first answer."""
        found: list[Answer] = []
        try:
            found += self._answers.get(timeout=wait) if wait else self._answers.get_nowait()
            while True:
                found += self._answers.get_nowait()
        except Empty:
            return found

    def stop(self) -> None:
        """Wait for the questions that are under way."""
        self._stopping.set()
        for thread in [self._round, *self._threads.values()]:
            if thread is not None:
                thread.join()

    def _ask_all(self, partitions: Sequence[Partition]) -> None:
        try:
            leaders = self._leaders(partitions)
        except KafkaException as error:
            self._answers.put([Answer(partitions[0], time.monotonic(), error=cause(error))])
            return
        for leader in sorted(set(leaders.values())):
            asked = [each for each in partitions if leaders.get(each) == leader]
            before = self._threads.get(leader)
            if before is None or not before.is_alive():
                self._threads[leader] = self._start(self._ask_one_by_one, asked)

    def _ask_one_by_one(self, partitions: Sequence[Partition]) -> None:
        """Ask one broker, and hand the answers over together.

        Once one of its partitions is fetched, the broker answers other questions only after that fetch.
        """
        found: list[Answer] = []
        for partition in sorted(partitions, key=self._failed.__contains__):
            if self._stopping.is_set():
                return
            asked = time.monotonic()
            try:
                found.append(Answer(partition, asked, *self._ask(partition)))
                self._failed.discard(partition)
            except KafkaException as error:
                found.append(Answer(partition, asked, error=cause(error)))
                self._failed.add(partition)  # asked for last, the next time
                if time.monotonic() - asked > _SLOW:
                    break
        self._answers.put(found)

    def _start(self, function: Callable[[Sequence[Partition]], None], asked: Sequence[Partition]) -> Thread:
        thread = Thread(target=function, args=(asked,), name="choreo-watermarks", daemon=True)
        thread.start()
        return thread
