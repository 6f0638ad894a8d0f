"""Run a worker until it rests, in a process that a handler may end: ``dying.py FOLDER RUNS WAY``."""

from __future__ import annotations

import ctypes
import os
import pickle
import signal
import sys
import time
from pathlib import Path
from typing import Any

from choreo import Context, Participant, Saga
from choreo.avro import AvroCodec
from choreo.cloudevents import headers_of
from choreo.envelope import Envelope, event_id
from choreo.records import Record
from choreo.store.sqlite.store import SQLiteStore
from choreo.testing.broker import MemoryBroker
from choreo.worker import Options, Worker
from tests.worker.rig import NOON, ManualClock
from tests.worker.test_poison import EVENTS, Acted, Asked, Failed, Finished

WAYS = {
    "exit": lambda: os._exit(9),
    "kill": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "segfault": lambda: ctypes.string_at(0),
}


class KeptBroker(MemoryBroker):
    """A broker whose records outlive the process."""

    def __init__(self, file: Path, clock: ManualClock) -> None:
        super().__init__(1, clock, "kept")
        self._file = None
        if file.exists():
            with file.open("rb") as old:
                while (found := _next(old)) is not None:
                    super().append(*found)
        self._file = file.open("ab")

    def append(self, topic: str, key: Any, headers: Any, value: Any, partition: int | None = None) -> Record:
        if self._file is not None:
            pickle.dump((topic, key, headers, value), self._file)
            self._file.flush()
        return super().append(topic, key, headers, value, partition)


def _next(file: Any) -> Any:
    try:
        return pickle.load(file)
    except EOFError:
        return None


def service(runs: str, way: str) -> Participant:
    """Return a participant of which one handler ends the process, for the saga ``bad``."""
    saga = Saga("p", starts=Asked, completes=Finished, fails=Failed)
    made = Participant("w", sagas=[saga])

    def work(event: Asked, ctx: Context) -> Acted:
        if ctx.saga_id == "bad":
            WAYS[way]()
        return Acted(event.n)

    async def do_async(event: Asked, ctx: Context) -> Acted:
        return work(event, ctx)

    def do(event: Asked, ctx: Context) -> Acted:
        return work(event, ctx) if runs != "observer" else Acted(event.n)

    def watch(event: Asked, ctx: Context) -> None:
        work(event, ctx)

    if runs == "observer":
        made.observer(watch)
    made.action(kind="retriable", blocking=runs == "blocking")(do_async if runs == "async" else do)
    return made


def main(folder: Path, runs: str, way: str) -> None:
    clock = ManualClock(NOON)
    is_first = not (folder / "topic").exists()
    broker = KeptBroker(folder / "topic", clock)
    codec = AvroCodec(EVENTS)
    if is_first:
        for saga_id in ("good-1", "bad", "good-2"):
            identity = event_id(saga_id, "p", "start", "succeeded", "p.Asked")
            envelope = Envelope(
                identity, "x", "p.Asked", NOON, saga_id, "p", 1, "start", "succeeded", "start"
            )
            broker.append("p", saga_id.encode(), headers_of(envelope), codec.encode(Asked(saga_id)))
    store = SQLiteStore(folder / "w.db")
    worker = Worker(service(runs, way), store, broker.log("w"), codec, clock, Options(idle_seconds=0.0))
    worker.start()
    idle, until = 0, time.monotonic() + 20
    while (idle < 2 or worker.calls.out) and time.monotonic() < until:
        idle = 0 if worker.turn() or not worker.is_live else idle + 1


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
