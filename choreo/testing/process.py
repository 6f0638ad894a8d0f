"""``Process``: a participant in a simulation, with its log, its connection and a worker that may crash."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from functools import lru_cache

from choreo.avro import AvroCodec
from choreo.client.connection import StoreConnection, refuse_bad_question
from choreo.client.transaction import LocalTransaction
from choreo.errors import ChoreoError, Fenced, StoreError
from choreo.participant import Handler, Participant, Status
from choreo.ports import Assignment, Publication, Taken, TopicState
from choreo.records import DeadLetter, Partition, Record
from choreo.saga import Saga
from choreo.store.tables import TableStore
from choreo.testing.broker import MemoryBroker, MemoryLog
from choreo.testing.store import Crash, FaultyStore
from choreo.testing.virtual_time import SimulatedCalls, VirtualClock
from choreo.worker import Options, Worker

OPTIONS = Options(turn_items=1, idle_seconds=0.0)
"""A turn takes one record, so that other moves are possible between any two records."""

_HEAD_START = 20
"""The number of turns of a process that takes over before the old one continues."""

OnTaken = Callable[[Sequence[Record]], None]
Run = Callable[[Callable[[], bool], int], None]
"""A function that runs the simulation until a condition holds, or until a time (ms)."""


@dataclass(frozen=True)
class World:
    """The shared parts of a simulation: the clock, the broker, and all processes by name."""

    clock: VirtualClock
    broker: MemoryBroker
    processes: dict[str, Process] = field(default_factory=dict)

    def open_letters(self) -> list[tuple[Process, DeadLetter]]:
        """Return the open dead letters of all participants."""
        return [
            (process, letter)
            for process in self.processes.values()
            for letter in process.store.dead_letters()
            if letter.state == "open"
        ]


class Process:
    """A participant, its database, and the process that runs it, which restarts after a crash.

    ``releases`` are the releases of the participant that have run so far, the latest last. ``change`` is
    applied to each of its handlers; ``on_taken`` is called with the records that it takes.
    Before the time ``rests_until`` (ms) the process does nothing; where it ``is_doomed``, it ends with the
    next step of its calls.
    """

    def __init__(
        self,
        participant: Participant,
        world: World,
        store: TableStore,
        change: Callable[[Handler], Handler],
        on_taken: Callable[[Process, Sequence[Record]], None],
    ) -> None:
        self.releases = [participant]
        self.store = store
        self.rests_until = 0
        self.is_doomed = False
        self._change = change
        self._world = world
        self._on_taken = on_taken
        self._change_code()
        try:
            self.start()
        except BaseException:
            self.leave()
            store.close()
            raise

    @property
    def name(self) -> str:
        """The participant's name."""
        return self.participant.name

    @property
    def participant(self) -> Participant:
        """The participant, as its latest release declares it."""
        return self.releases[-1]

    def start(self) -> None:
        """Start the process."""
        self.faulty_store = FaultyStore(self.store)
        log = self._world.broker.log(self.name)
        self.log = InFlightLog(log, lambda records: self._on_taken(self, records))
        self.calls = SimulatedCalls(self._world.clock)
        self.worker = Worker(
            self._twin, self.faulty_store, self.log, self.codec, self._world.clock, OPTIONS, self.calls
        )
        self.worker.start()

    @property
    def is_ready(self) -> bool:
        """Whether a turn would do anything now."""
        now = self._world.clock.now()
        if now < self.rests_until:
            return False
        wakes_at = self.worker.wakes_at
        return (
            not self.worker.is_live
            or self.faulty_store.was_touched
            or self.log.has_news
            or (wakes_at is not None and wakes_at <= now)
        )

    @property
    def wakes_at(self) -> int | None:
        """The time of the next work that does not come from the log (ms since the epoch), or None."""
        now = self._world.clock.now()
        if now < self.rests_until:
            return self.rests_until
        times = [time for time in (self.worker.wakes_at, self.calls.wakes_at) if time is not None]
        return min((time for time in times if time > now), default=None)

    def turn(self) -> None:
        """Run one turn of the worker; where its process ends, start another."""
        worker = self.worker
        try:
            worker.turn()
        except (Crash, StoreError) as error:
            if isinstance(error, StoreError) and not _is_simulated(error):
                raise
            if worker is self.worker:  # not replaced by another
                self.crash()

    def step_call(self) -> None:
        """Step the calls under way; where the process ends meanwhile, start another."""
        self.calls.step()
        if self.is_doomed:
            self.is_doomed = False
            self.crash()

    def crash(self) -> None:
        """End the process without a clean stop, and start another on the same database."""
        self.leave()
        self.start()

    def release(self, participant: Participant) -> None:
        """End the process without a clean stop, and start the next release of its participant in its place.

        Raises `ReleaseRefused` where that does not start; then the release of before goes on.
        """
        self.leave()
        self.releases.append(participant)
        self._change_code()
        try:
            self.start()
        except ChoreoError:
            self.leave()
            self.releases.pop()
            self._change_code()
            self.start()
            raise

    def _change_code(self) -> None:
        """Take the handlers of the latest release, which can read what the earlier ones wrote."""
        self._twin = self.participant.with_handlers(map(self._change, self.participant.handlers))
        written = dict.fromkeys(cls for each in self.releases for cls in each.events)
        self.codec = _codec_of(self.participant.events, tuple(written))

    def leave(self, seconds: float = 0.0) -> None:
        """End the process without a clean stop; its lifespan is left within ``seconds``, if there are any."""
        self.calls.stop(seconds)
        self.log.close()

    def stall(self) -> None:
        """Make another process take over when the next turn begins; that turn continues afterwards."""
        self.faulty_store.before_turn = self._take_over

    def _take_over(self) -> None:
        self.crash()
        for _ in range(_HEAD_START):
            if self.is_ready:
                self.worker.turn()


def _is_simulated(error: StoreError) -> bool:
    """Whether a simulated fault caused an error of the store."""
    return isinstance(error, Fenced) or "says the test" in error.message


@lru_cache(maxsize=256)
def _codec_of(events: tuple[type, ...], written: tuple[type, ...]) -> AvroCodec:
    """Return the codec of these events, cached, as its construction is slower than a saga in memory."""
    return AvroCodec(events, written=written)


class InFlightLog:
    """A participant's log, whose publications remain in flight until `deliver` is called, in order.

    Implements `choreo.ports.Log`. ``on_taken`` is called with taken records before the worker processes
    them. Nothing is taken unless it ``is_open``.
    """

    def __init__(self, log: MemoryLog, on_taken: OnTaken) -> None:
        self.in_flight: deque[Publication] = deque()
        self.is_open = True
        self._log = log
        self._on_taken = on_taken

    @property
    def has_news(self) -> bool:
        """Whether there is a record to take, or an acknowledgement."""
        return self._log.has_news

    def deliver(self, publication: Publication) -> None:
        """Append ``publication``, the first one in flight or a spoiled form of it."""
        self.in_flight.popleft()
        self._log.publish([publication])

    def cluster_id(self) -> str:
        """Return the broker's name."""
        return self._log.cluster_id()

    def claim(self, store_id: str, is_new: bool) -> None:
        """Claim the group for a store when it is joined."""
        self._log.claim(store_id, is_new)

    def subscribe(
        self,
        topics: Sequence[str],
        on_assign: Callable[[Sequence[Assignment]], Sequence[int]],
        on_revoke: Callable[[Sequence[Partition]], None],
    ) -> None:
        """Join the group."""
        self._log.subscribe(topics, on_assign, on_revoke)

    def partitions(self, topics: Sequence[str]) -> Mapping[str, int]:
        """Return the number of partitions of each topic."""
        return self._log.partitions(topics)

    def describe(self, topics: Sequence[str], wait: float) -> Sequence[TopicState] | None:
        """Describe topics."""
        return self._log.describe(topics, wait)

    def rejoin(self) -> None:
        """Join the group anew in the next `take`."""
        self._log.rejoin()

    def take(self, limit: int, wait: float) -> Taken:
        """Take the records that are there, without waiting."""
        del wait
        taken = self._log.take(limit if self.is_open else 0, 0.0)
        self._on_taken(taken.records)
        return taken

    def publish(self, publications: Iterable[Publication]) -> None:
        """Put publications in flight."""
        self.in_flight.extend(publications)

    def flush(self, wait: float) -> Sequence[int]:
        """Deliver everything in flight."""
        while self.in_flight:
            self.deliver(self.in_flight[0])
        return self._log.flush(wait)

    def commit(self, positions: Mapping[Partition, int]) -> None:
        """Commit positions to the broker."""
        self._log.commit(positions)

    def ends(self, partitions: Sequence[Partition]) -> Mapping[Partition, int]:
        """Return the ends that are known."""
        return self._log.ends(partitions)

    def arriving(self) -> int:
        """Return how many partitions have not begun."""
        return self._log.arriving()

    def is_spare(self) -> bool:
        """Return whether the group has no partition for it."""
        return self._log.is_spare()

    def offsets_at(self, partitions: Sequence[Partition], timestamp: int) -> Sequence[int]:
        """Look offsets up by time (ms)."""
        return self._log.offsets_at(partitions, timestamp)

    def close(self) -> None:
        """Leave the group; publications in flight are lost."""
        self.in_flight.clear()
        self._log.close()


class SimulatedConnection(StoreConnection):
    """A participant's connection in a test, in place of ``choreo.connect``; `wait` runs the simulation.

    It is that of one release, and stays so when the process runs the next one, as a web process would.
    """

    def __init__(self, process: Process, clock: VirtualClock, new_id: Callable[[], str], run: Run) -> None:
        super().__init__(process.participant, lambda: process.store, process.codec, clock, new_id)
        self._process = process
        self._run = run

    @contextmanager
    def transaction(self, within: object = None) -> Iterator[LocalTransaction]:
        """Open or join a transaction, and wake the worker after it."""
        with super().transaction(within) as opened:
            yield opened
        self._process.faulty_store.was_touched = True

    def wait(self, saga_id: str, timeout: timedelta, saga: Saga | str | None = None) -> Status | None:
        """Run the simulation until a saga has ended, for ``timeout`` of virtual time at most."""
        refuse_bad_question(saga_id, timeout)
        self.refuse_to_wait()

        def has_ended() -> bool:
            status = self.status(saga_id, saga)
            return status is not None and status.is_ended

        self._run(has_ended, self._clock.now() + round(timeout.total_seconds() * 1000))
        return self.status(saga_id, saga)

    async def wait_async(
        self, saga_id: str, timeout: timedelta, saga: Saga | str | None = None
    ) -> Status | None:
        """Run the simulation, as `wait` does."""
        return self.wait(saga_id, timeout, saga)
