"""Run a worker until it rests, in a process that a handler may end: ``dying.py FOLDER RUNS TASK WAY``."""

from __future__ import annotations

import ctypes
import os
import pickle
import signal
import sys
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

from choreo import Context, External, Participant, Saga
from choreo.avro import AvroCodec
from choreo.cloudevents import headers_of
from choreo.envelope import Envelope, event_id
from choreo.events import event_name
from choreo.ports import Taken
from choreo.records import Record
from choreo.testing.broker import MemoryBroker
from choreo.worker import Options, Worker
from tests.stores import open_store
from tests.worker.rig import NOON, ManualClock
from tests.worker.test_poison import EVENTS, Asked, Failed, Finished, Late, OtherFailed, declare_step

LATE = 5
"""So many turns later a record is delivered."""

SAGAS = ("good-1", "bad", "good-2")

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


class LateLog:
    """A log that delivers what was published after some turns only."""

    def __init__(self, log: Any) -> None:
        self._log = log
        self._late = deque([((), {})] * LATE)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._log, name)

    def take(self, limit: int, wait: float) -> Taken:
        records, ended, acknowledged, refused = self._log.take(limit, wait)
        self._late.append((records, ended))
        return Taken(*self._late.popleft(), acknowledged, refused)


def service(runs: str, task: str, way: str) -> Participant:
    """Return a participant of which one handler ends the process, for the saga ``bad``."""
    imported = External(Late, topic="elsewhere", saga_id=lambda late: str(late.n), decode=decoder(task, way))
    saga = Saga("p", starts=Asked, completes=Finished, fails=Failed)
    made = Participant("w", sagas=[saga], external=[imported])

    def act(which: str, answer: Any, ctx: Context) -> Any:
        if (ctx.saga_id, which) == ("bad", task):
            WAYS[way]()
        return answer

    def watch(event: Asked, ctx: Context) -> None:
        act("observer", None, ctx)

    if task == "observer":
        made.observer(watch)
    declare_step(made, runs, act)
    return made


def decoder(task: str, way: str) -> Callable[[bytes], Any]:
    """Return a function that decodes an import, and ends the process for the saga ``bad``."""

    def decode(value: bytes) -> Late:
        if (value, task) == (b"bad", "import"):
            WAYS[way]()
        return Late(value.decode())

    return decode


class DeadlyCodec(AvroCodec):
    """Ends the process while it decodes the start of the saga ``bad``, where that is the ``task``."""

    def __init__(self, task: str, way: str) -> None:
        super().__init__(EVENTS)
        self._end = WAYS[way] if task == "decoding" else None

    def decode(self, type_name: str, body: bytes | None) -> object:
        event = super().decode(type_name, body)
        if self._end and event == Asked("bad"):
            self._end()
        return event


def send(broker: MemoryBroker, event: Any, step: str, outcome: Any) -> None:
    """Publish an event of another participant, for each saga."""
    for saga_id in SAGAS:
        name = event_name(event)
        identity = event_id(saga_id, "p", step, outcome, name)
        kind = "start" if step == "start" else "compensatable"
        envelope = Envelope(identity, "x", name, NOON, saga_id, "p", 1, step, outcome, kind)  # type: ignore[arg-type]
        broker.append("p", saga_id.encode(), headers_of(envelope), AvroCodec(EVENTS).encode(event(saga_id)))


def rest(worker: Worker) -> None:
    """Let the worker go round until nothing is left to do."""
    idle, until = 0, time.monotonic() + 20
    while (idle < 2 * LATE or worker.calls.out) and time.monotonic() < until:
        done, wakes_at = worker.turn(), worker.wakes_at
        is_waiting = worker.is_live and (wakes_at is None or wakes_at > NOON)
        idle = idle + 1 if is_waiting and not done else 0


def main(folder: Path, runs: str, task: str, way: str) -> None:
    clock = ManualClock(NOON)
    is_first = not (folder / "topic").exists()
    broker = KeptBroker(folder / "topic", clock)
    if is_first:
        send(broker, Asked, "start", "succeeded")
        for saga_id in SAGAS:
            broker.append("elsewhere", b"any", (), saga_id.encode())
    store = open_store(folder / "w.db")
    log: Any = LateLog(broker.log("w"))
    made = service(runs, task, way)
    worker = Worker(made, store, log, DeadlyCodec(task, way), clock, Options(idle_seconds=0.0))
    worker.start()
    rest(worker)
    if is_first and task == "compensation":
        send(broker, OtherFailed, "x.other", "failed")
        rest(worker)


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
