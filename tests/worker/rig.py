"""One participant's worker on a broker in memory; the test plays everybody else, and sets the clock."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from choreo import Participant
from choreo.avro import AvroCodec
from choreo.client.connection import StoreConnection
from choreo.cloudevents import headers_of, read
from choreo.envelope import Envelope, event_id
from choreo.events import event_name
from choreo.ports import Log
from choreo.protocol import Instance
from choreo.protocol.recorded_inputs import rebuild
from choreo.records import DeadLetter, Entry, Record
from choreo.testing.broker import MemoryBroker
from choreo.worker import Options, Worker
from tests.stores import open_store
from tests.worker.trip import EVENTS, STEPS

NOON = 1_700_000_000_000


class ManualClock:
    """A clock that only moves when it is told to; in milliseconds since the epoch."""

    def __init__(self, now: int = NOON) -> None:
        self.time = now

    def now(self) -> int:
        """Return the time."""
        return self.time

    def monotonic(self) -> float:
        """Return the time in seconds: no turn of a test is cut short because the machine is slow."""
        return self.time / 1000

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self.time += round(seconds * 1000)


class Rig:
    """A participant under test; ``open`` and ``close`` may be repeated on the same database."""

    def __init__(
        self, participant: Participant, folder: Path, options: Options | None = None, partitions: int = 1
    ) -> None:
        self.participant = participant
        self.clock = ManualClock()
        self.broker = MemoryBroker(partitions, self.clock)
        self.path = folder / f"{participant.name}.db"
        self.options = options or Options(idle_seconds=0.0)
        self.codec = AvroCodec(EVENTS)
        self.wrap: Callable[[Any], Log] = lambda log: log
        self._worker: Worker | None = None

    def open(self) -> Worker:
        """Start a worker, and let it go round until nothing is left to do now."""
        self.begin()
        self.settle()
        return self.worker

    def begin(self) -> Worker:
        """Start a worker, and do no turn."""
        self.store = open_store(self.path)
        log = self.wrap(self.broker.log(self.participant.name))
        self._worker = Worker(self.participant, self.store, log, self.codec, self.clock, self.options)
        self.participant.connect(
            StoreConnection(self.participant, lambda: self.store, self.codec, self.clock),
        )
        self.worker.start()
        return self.worker

    @property
    def worker(self) -> Worker:
        """The worker that is open."""
        assert self._worker is not None
        return self._worker

    def close(self) -> None:
        """Leave the worker as a crash would; the database stays."""
        if self._worker is not None:
            self._worker._calls.stop(1)  # so that no thread outlives its test; nothing is committed
            self._worker._log.close()
            self.store.close()
            self._worker = None

    def restart(self) -> None:
        """Crash, and start anew."""
        self.close()
        self.open()

    def settle(self) -> None:
        """Let the worker go round until it is live and has nothing to do now."""
        idle, rounds = 0, 0
        while idle < 2:
            done, wakes_at = self.worker.turn(), self.worker.wakes_at
            is_waiting = self.worker.is_live and (wakes_at is None or wakes_at > self.clock.now())
            idle = idle + 1 if is_waiting and not done else 0
            rounds += 1
            assert rounds < 10_000, "the worker never comes to rest"

    def feed(self, *events: Any, saga_id: str = "s1", **changes: Any) -> None:
        """Publish events as their participants would, and let the worker react."""
        for event in events:
            self.append(event, saga_id, **changes)
        self.settle()

    def append(self, event: Any, saga_id: str = "s1", body: bytes | None = None, **changes: Any) -> Record:
        """Publish an event as its participant would."""
        envelope = envelope_of(event, saga_id, self.clock.now())._replace(**changes)
        value = self.codec.encode(event) if body is None else body
        return self.broker.append("trip", saga_id.encode(), headers_of(envelope), value)

    def published(self, saga_id: str = "s1") -> list[Any]:
        """Return the events that the participant published, decoded, in the log's order."""
        return [
            self.codec.decode(envelope.type, record.value)
            for record, envelope in self.records()
            if envelope.source == self.participant.name and envelope.saga_id == saga_id
        ]

    def records(self) -> list[tuple[Record, Envelope]]:
        """Return the whole log."""
        return [(record, read(record)) for record in self.broker.records("trip")]

    def records_of(self, participant: str) -> list[Record]:
        """Return the part of the log that a participant published."""
        return [record for record, envelope in self.records() if envelope.source == participant]

    def history(self, saga_id: str = "s1") -> list[Entry]:
        """Return the participant's view of a saga."""
        return list(self.store.history(saga_id))

    def saga(self, saga_id: str = "s1") -> Instance:
        """Return a saga as the saga log tells it."""
        return rebuild(self.participant.roles()["trip"], self.history(saga_id))

    def saga_in_memory(self, saga_id: str = "s1") -> Instance:
        """Return a saga as the worker knows it."""
        return self.worker._processor.instances.get(self.participant.roles()["trip"], saga_id)

    def state(self, step: str, saga_id: str = "s1") -> str:
        """Return a step's state."""
        return self.saga(saga_id).state_of(step)

    def letters(self) -> list[DeadLetter]:
        """Return the dead letters."""
        return list(self.store.dead_letters())

    def effects(self, saga_id: str = "s1") -> list[str]:
        """Return what handlers did, and was committed."""
        rows = self.store.db.execute("select what from effects where saga_id = ?", [saga_id])
        return [what for (what,) in rows.fetchall()]

    def due_in(self) -> float | None:
        """Return in how many seconds something is due."""
        due = self.store.next_due()
        return None if due is None else (due - self.clock.now()) / 1000


def envelope_of(event: Any, saga_id: str, now: int) -> Envelope:
    """Return the headers with which an event of the trip is published."""
    source, step, outcome, kind = STEPS[type(event)]
    name = event_name(type(event))
    identity = event_id(saga_id, "trip", step, outcome, name)
    return Envelope(identity, source, name, now, saga_id, "trip", 1, step, outcome, kind)  # type: ignore[arg-type]
