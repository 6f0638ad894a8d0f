"""``Seat``: one participant of a simulation, whose process may crash and start anew on the same database."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import NamedTuple

from choreo.avro import AvroCodec
from choreo.errors import Fenced, StoreError
from choreo.participant import Handler, Participant
from choreo.records import Record
from choreo.store.sqlite.store import SQLiteStore
from choreo.testing.clock import VirtualClock
from choreo.testing.memory import MemoryBroker
from choreo.testing.runner import SimulatedCalls
from choreo.testing.stores import Crash, FragileStore
from choreo.testing.wire import Wire
from choreo.worker import Options, Worker

OPTIONS = Options(turn_items=1, idle_seconds=0.0)
"""A turn takes one record: so much may come between two of them as can."""

_HEAD_START = 20
"""How many turns a process that takes over may do before the old one goes on."""


class World(NamedTuple):
    """What all participants of a simulation share: time, and the broker."""

    clock: VirtualClock
    broker: MemoryBroker


class Seat:
    """A participant, its database, and the process that runs it.

    ``change`` is what the simulation makes of its handlers; ``on_taken`` is told what it takes from the log.
    ``rests_until`` is a time (ms) before which its process does nothing; where it ``is_doomed``, it ends with
    the next step of its calls.
    """

    def __init__(
        self,
        participant: Participant,
        world: World,
        store: SQLiteStore,
        change: Callable[[Handler], Handler],
        on_taken: Callable[[Seat, Sequence[Record]], None],
        options: Options = OPTIONS,
    ) -> None:
        self.participant = participant
        self.store = store
        self.codec = codec_of(participant.events)
        self.rests_until = 0
        self.is_doomed = False
        self._twin = participant.twin(change)
        self._world = world
        self._on_taken = on_taken
        self._options = options
        self.start()

    @property
    def name(self) -> str:
        """The participant's name."""
        return self.participant.name

    def start(self) -> None:
        """Start its process."""
        self.fragile = FragileStore(self.store)
        log = self._world.broker.log(self.name)
        self.wire = Wire(log, lambda records: self._on_taken(self, records))
        self.calls = SimulatedCalls(self._world.clock)
        self.worker = Worker(
            self._twin, self.fragile, self.wire, self.codec, self._world.clock, self._options, self.calls
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
            or self.fragile.was_touched
            or self.wire.log.has_news
            or (wakes_at is not None and wakes_at <= now)
        )

    @property
    def wakes_at(self) -> int | None:
        """When there will be something to do, if the log brings nothing before."""
        now = self._world.clock.now()
        if now < self.rests_until:
            return self.rests_until
        times = [time for time in (self.worker.wakes_at, self.calls.wakes_at) if time is not None]
        return min((time for time in times if time > now), default=None)

    def turn(self) -> None:
        """Let the worker go round once; where its process ends, start another."""
        worker = self.worker
        try:
            worker.turn()
        except (Crash, StoreError) as error:
            if isinstance(error, StoreError) and not is_staged(error):
                raise
            if worker is self.worker:  # else another has taken its place already
                self.crash()

    def step_call(self) -> None:
        """Let the calls that are out go on; where the process ends meanwhile, start another."""
        self.calls.step()
        if self.is_doomed:
            self.is_doomed = False
            self.crash()

    def crash(self) -> None:
        """End the process without a word, and start another on the same database."""
        self.leave()
        self.start()

    def leave(self) -> None:
        """End the process without a word."""
        self.calls.stop()
        self.wire.close()

    def stall(self) -> None:
        """When the next turn begins, let another process take over first; the turn then goes on."""
        self.fragile.before_turn = self._take_over

    def _take_over(self) -> None:
        self.leave()
        self.start()
        for _ in range(_HEAD_START):
            if self.is_ready:
                self.worker.turn()


def is_staged(error: StoreError) -> bool:
    """Say whether an error of the store is one that a test asked for."""
    return isinstance(error, Fenced) or "says the test" in error.message


@lru_cache(maxsize=256)
def codec_of(events: tuple[type, ...]) -> AvroCodec:
    """Give the codec of these events: making one takes longer than a whole saga in memory."""
    return AvroCodec(events)
