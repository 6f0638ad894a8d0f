"""The site of one cell: its topic, its three processes, their databases; whoever ends is started again."""

from __future__ import annotations

import os
import signal
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from confluent_kafka.admin import AdminClient

from choreo.avro import AvroCodec
from choreo.client.connection import StoreConnection
from choreo.kafka import create_topics
from choreo.ports import Store
from choreo.worker.clock import SystemClock
from choreo.worker.dead_letters import settle
from tests.programs.faults.contract import JobAsked
from tests.programs.faults.fault_point import Aim
from tests.programs.faults.participants import NAMES, Plan, participant, row
from tests.programs.faults.process import Job, start
from tests.stores import in_postgresql, open_store, remove

PARTITIONS = 2
RESTARTS = 8
"""How often one process may end before something is wrong."""


class Wrong(AssertionError):
    """Raised when a cell does not end as it must."""


class Site:
    """Runs from `__enter__` to `__exit__`; every wait is bounded by ``seconds``."""

    def __init__(self, bootstrap: str, through: str, plan: Plan, aim: Aim, seconds: float = 60.0) -> None:
        self.bootstrap, self.plan, self.aim = bootstrap, plan, aim
        self.ends: Counter[str] = Counter()
        self._jobs = {
            (name, replica): Job(name, through if name == "doer" else bootstrap, plan, aim, replica)
            for name in NAMES
            for replica in range(plan.replicas)
        }
        self._running: dict[tuple[str, int], Any] = {}
        self._partitions = max(PARTITIONS, plan.replicas)
        self._replaced: list[Any] = []
        self._seconds = seconds
        self.stores: dict[str, Store] = {}

    def __enter__(self) -> Self:
        create_topics(self.bootstrap, [self.plan.topic], self._partitions, 1)
        try:
            self.stores = {name: open_store(self._jobs[name, 0].store) for name in NAMES}
            for each, job in self._jobs.items():
                self._running[each] = start(job)
            self.until(self._have_joined, "the processes have not joined")
        except BaseException:
            self._leave()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._leave()

    def ask(self, jobs: Sequence[JobAsked]) -> None:
        """Start sagas, in one transaction of the asker's service."""
        asker = participant("asker", self.plan, row)
        codec, store = AvroCodec(asker.events), self.stores["asker"]
        asker.connect(StoreConnection(asker, lambda: store, codec, SystemClock()))
        with asker.transaction() as tx:
            for job in jobs:
                tx.start(job, saga_id=job.name)

    def until(self, holds: Callable[[], bool], otherwise: str) -> None:
        """Wait until something holds, starting again whoever ends; raises `Wrong` when it takes too long."""
        deadline = time.monotonic() + self._seconds
        while not holds():
            for each in self._jobs:
                self._revive(each)
            if time.monotonic() > deadline:
                raise Wrong(f"{otherwise} within {self._seconds:.0f} s")
            time.sleep(0.02)

    def until_struck(self) -> None:
        """Wait for the fault."""
        self.until(self.aim.struck.exists, "the point was not reached")

    def until_given_up(self) -> None:
        """Wait until the doer's group has given up its member, which is paused."""
        admin = AdminClient({"bootstrap.servers": self.bootstrap, "log_level": 3})
        group = self._jobs["doer", 0].group

        def is_given_up() -> bool:
            return len(admin.describe_consumer_groups([group])[group].result(10).members) < self.plan.replicas

        self.until(is_given_up, "the paused member was not given up")

    def resume(self) -> None:
        """Let the paused doer go on."""
        os.kill(int(self.aim.struck.read_text()), signal.SIGCONT)

    def replace(self, done: Callable[[], bool]) -> None:
        """Start a second doer on the paused one's store, let it work until ``done``, then resume the first.

        It may have to leave the work undone, where the first was paused with the database locked. The first
        one must end: a store serves one worker, the last that came.
        """
        zombie, knocked = self._running["doer", 0], self.aim.folder / "knocked"
        self._replaced.append(zombie)
        knocked.unlink()
        self._running["doer", 0] = start(self._jobs["doer", 0])
        self.until(knocked.exists, "the second worker did not start")
        self.until(
            lambda: bool(self.ends) or self._waits_for_store() or done(),
            "the second worker did not do the first one's work",
        )
        os.kill(zombie.pid, signal.SIGCONT)
        self.until(lambda: not zombie.is_alive(), "the replaced worker lived on")
        self.ends[f"replaced: {self._why(zombie)}"] += 1

    def _waits_for_store(self) -> bool:
        """Whether a doer has said that somebody else has its database locked."""
        said = self.aim.folder / "doer.log"
        return said.exists() and "waits for its store" in said.read_text()

    def mend(self) -> None:
        """Wait for the dead letter, mend its cause, and requeue it."""
        store = self.stores["doer"]
        self.until(lambda: bool(store.dead_letters()), "there is no dead letter")
        (letter,) = store.dead_letters()
        self.aim.mended.touch()
        if self.aim.cell.task == "action":
            body = AvroCodec([JobAsked]).encode(JobAsked(letter.saga_id))
            with store.turn():
                store.edit_dead_letter(letter.id, body)
        if not settle(store, letter, "requeued", "mended", SystemClock().now()):
            raise Wrong("the dead letter was settled by somebody else")

    def kill(self, name: str) -> None:
        """Kill a participant's first process; it is started again by the next wait."""
        self._running[name, 0].kill()

    def until_dead(self, name: str) -> None:
        """Wait until a process that was killed has ended; it is started again by the next wait."""
        self._running[name, 0].join(self._seconds)

    def _have_joined(self) -> bool:
        return all(len(store.positions()) == self._partitions for store in self.stores.values())

    def _revive(self, each: tuple[str, int]) -> None:
        process = self._running[each]
        if process.is_alive():
            return
        self.ends[self._why(process)] += 1
        process.close()
        if sum(self.ends.values()) > RESTARTS:
            raise Wrong(f"{each[0]} ends again and again")
        self._running[each] = start(self._jobs[each])

    def _why(self, process: Any) -> str:
        process.join()
        return f"exit {process.exitcode}" if process.exitcode >= 0 else signal.Signals(-process.exitcode).name

    def _leave(self) -> None:
        for process in (*self._running.values(), *self._replaced):
            process.kill()
            process.join()
            process.close()
        for name, store in self.stores.items():
            store.close()
            if in_postgresql():  # where hundreds of them would be in the way
                remove(self._jobs[name, 0].store)


def calls(world: Path) -> list[tuple[str, str]]:
    """Return what the doer's calls have done in the world: saga and what, once for a key."""
    lines = world.read_text().splitlines() if world.exists() else []
    done = dict(line.split(" ", 1) for line in lines)
    return [(saga_id, what) for saga_id, what in (each.split(" ", 1) for each in done.values())]
