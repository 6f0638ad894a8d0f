"""Several workers of one participant on one store in PostgreSQL; the test plays everybody else."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from confluent_kafka.cimpl import murmur2

from choreo import Context, Participant
from choreo.chain import first_broken_link
from choreo.records import Partition
from choreo.store.postgresql.store import PostgreSQLStore
from choreo.testing.broker import MemoryBroker
from choreo.worker import Options, Worker
from tests.stores import pooled
from tests.worker.rig import Rig
from tests.worker.services import Script

PARTITIONS = 4


class Traced(Script):
    """Leaves its trace by a statement of PostgreSQL's."""

    def __call__(self, ctx: Context) -> None:
        self.calls.append(ctx)
        ctx.db.execute("insert into effects values (%s, %s)", (ctx.saga_id, ctx.task))
        error = self._steps.pop(0) if self._steps else self._last
        if error is not None:
            raise error


class Replica:
    """One worker of the participant, with a connection of its own to the store."""

    def __init__(self, rig: Rig, address: str, make: Callable[[], Participant], options: Options) -> None:
        self.store = PostgreSQLStore(pooled(address), busy_timeout=0.2)
        self.log = rig.broker.log("hotel")
        self.participant = make()
        self.worker = Worker(self.participant, self.store, self.log, rig.codec, rig.clock, options)

    @property
    def numbers(self) -> list[int]:
        """The partitions that it owns."""
        return sorted(each.number for each in self.store._ownership.partitions)

    def close(self) -> None:
        """Leave it as a crash does."""
        self.worker._calls.stop(1)
        self.store.close()


class Replicas:
    """Workers of one participant, which the test lets go round by turns."""

    def __init__(
        self, folder: Path, address: str, make: Callable[[], Participant], start: Any = "earliest"
    ) -> None:
        self.rig = Rig(make(), folder, partitions=PARTITIONS)
        self.broker: MemoryBroker = self.rig.broker
        self.address = address
        self.make = make
        self.options = Options(idle_seconds=0.0, start=start)
        self.running: list[Replica] = []
        self.all: list[Replica] = []
        self.reader = PostgreSQLStore(address)

    def begin(self, count: int = 1, make: Callable[[], Participant] | None = None) -> None:
        """Start so many more, of another release where one is given, and let them do no round."""
        for _ in range(count):
            replica = Replica(self.rig, self.address, make or self.make, self.options)
            replica.worker.start()
            self.running.append(replica)
            self.all.append(replica)

    def start(self, count: int = 1, make: Callable[[], Participant] | None = None) -> None:
        """Start so many more, and let them divide the partitions."""
        self.begin(count, make)
        self.settle()

    def expel(self, replica: Replica) -> None:
        """Let the group give up on one, whose worker does not go round meanwhile."""
        self.running.remove(replica)
        self.broker.expel(replica.log)
        self.settle()

    def go_round(self) -> int:
        """Let each that runs do a turn; return the number of items."""
        return sum([replica.worker.turn() for replica in self.running])

    def settle(self) -> None:
        """Let all that run go round until nothing is left to do now."""
        idle = 0
        for _ in range(5_000):
            done = self.go_round()
            wakes = [replica.worker.wakes_at for replica in self.running]
            waits = all(at is None or at > self.rig.clock.now() for at in wakes)
            idle = idle + 1 if waits and not done else 0
            if idle > 2 * len(self.running):
                return
        raise AssertionError("they never come to rest")

    def feed(self, make: Callable[[str], Any], saga_ids: Iterable[str]) -> None:
        """Publish an event for each saga, and let the workers react."""
        for saga_id in saga_ids:
            self.rig.append(make(saga_id), saga_id)
        self.settle()

    def owner_of(self, saga_id: str) -> Replica:
        """Return the replica that owns a saga."""
        (owner,) = [each for each in self.running if home(saga_id) in each.numbers]
        return owner

    def effects(self) -> Counter[tuple[str, str]]:
        """Return what handlers did, and was committed."""
        return Counter(self.reader.db.execute("select saga_id, what from effects").fetchall())

    def published(self) -> Counter[str]:
        """Return how often each event of the participant's is on the topic, by its id."""
        return Counter(
            envelope.id for _, envelope in self.rig.records() if envelope.source == self.rig.participant.name
        )

    def check_chains(self, saga_ids: Iterable[str]) -> None:
        """Check that the rows of each saga have one order, which nobody else wrote into."""
        for saga_id in saga_ids:
            chain = self.reader.saga_log.chain(saga_id, "trip")
            assert chain
            assert first_broken_link(chain) is None

    def close(self) -> None:
        """End them all."""
        for each in self.all:
            each.close()
        self.reader.close()


def home(saga_id: str) -> int:
    """Return the partition on which a producer puts a saga's events."""
    return int(murmur2(saga_id.encode(), PARTITIONS))


def on(number: int, count: int = 1) -> list[str]:
    """Return ids of sagas on a partition."""
    found = (f"s{each}" for each in range(10_000) if home(f"s{each}") == number)
    return [next(found) for _ in range(count)]


def place(number: int) -> Partition:
    """Return a partition of the trip's topic."""
    return Partition("trip", number)
