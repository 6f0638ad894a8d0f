"""A participant that reads what comes: each record is a saga of its own, done, or a dead letter."""

from __future__ import annotations

import resource
import sys
import time
import tracemalloc
from collections.abc import Iterable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import NamedTuple

from choreo import Context, Participant, Retry, Saga, event
from choreo.avro import AvroCodec
from choreo.records import DeadLetter, Record
from choreo.store.sqlite.store import SQLiteStore
from choreo.testing.broker import MemoryBroker
from choreo.worker import Options, Worker
from choreo.worker.clock import SystemClock
from tests.avro.shop import Rich
from tests.avro.test_round_trip import SAMPLE
from tests.scenarios.stage import event_headers

TOPIC = "fuzz"
SECONDS = 5.0
"""The longest that one record may take the processor, on a slow machine."""

MEGABYTES = 64
"""The most memory that one record of at most 1 MB may take while it is handled."""

REASONS = {"reused-id", "unreadable-body", "unreadable-headers", "unknown-fingerprint"}

Headers = Sequence[tuple[str, bytes | None]]


@event(namespace="shop")
class Seen:
    pass


@event(namespace="shop")
class NotSeen:
    pass


class Spoilt(NamedTuple):
    """A record to append."""

    key: bytes | None
    headers: Headers
    value: bytes | None


class Reader:
    """Runs the participant on a store in ``folder``; takes records one turn at a time."""

    def __init__(self, folder: Path) -> None:
        self.broker = MemoryBroker(partitions=1)
        self.seen: list[str] = []
        self.slowest = self.largest = 0.0
        participant = self._participant()
        codec = AvroCodec(participant.events)
        self.body = codec.encode(SAMPLE)
        self.store = SQLiteStore(folder / "reader.db")
        self.store.db.execute("PRAGMA synchronous = OFF")  # no power cut is tested here
        once = Retry(attempts=1, delay=timedelta(0))
        options = Options(idle_seconds=0.0, schema_retry=once)
        log = self.broker.log("reader")
        self._worker = Worker(participant, self.store, log, codec, SystemClock(), options)
        self._worker.start()
        self._worker.turn()

    def read(self, records: Iterable[Spoilt]) -> int:
        """Take each record in a turn of its own, measured; give their number."""
        count = 0
        for spoilt in records:
            self.broker.append(TOPIC, spoilt.key, spoilt.headers, spoilt.value)
            self._turn()
            count += 1
        return count

    def read_good(self, saga_id: str) -> bool:
        """Whether a good record is still read as one."""
        self.read([good(saga_id, self.body)])
        return self.seen[-1] == saga_id

    def letters(self) -> Sequence[DeadLetter]:
        """Return the dead letters."""
        return self.store.dead_letters()

    def position(self) -> int:
        """Return the next offset."""
        return sum(self.store.positions().values())

    def close(self) -> None:
        """End."""
        self._worker._log.close()
        self.store.close()

    def _turn(self) -> None:
        began = time.thread_time()
        if tracemalloc.is_tracing():
            tracemalloc.reset_peak()
        before = tracemalloc.get_traced_memory()[0]
        self._worker.turn()
        self.largest = max(self.largest, tracemalloc.get_traced_memory()[1] - before)
        self.slowest = max(self.slowest, time.thread_time() - began)

    def _participant(self) -> Participant:
        saga = Saga("fuzz", starts=Rich, completes=Seen, fails=NotSeen, topic=TOPIC)
        reader = Participant("reader", sagas=[saga])

        @reader.action(kind="retriable")
        def see(event: Rich, ctx: Context) -> Seen:
            self.seen.append(ctx.saga_id)
            return Seen()

        return reader


def good(saga_id: str, body: bytes | None) -> Spoilt:
    """Return a record with the headers that it should have."""
    return Spoilt(saga_id.encode(), event_headers(saga_id, "fuzz", "start", "shop.Rich"), body)


def resident() -> float:
    """Return the most memory that this process ever had, in megabytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**20 if sys.platform == "darwin" else peak / 2**10


def is_ours(record: Record, letter: DeadLetter) -> bool:
    """Whether a dead letter keeps that record."""
    return (record.partition, record.offset) == (letter.partition, letter.offset)
