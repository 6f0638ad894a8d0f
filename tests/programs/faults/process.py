"""One participant of a cell, as a process of its own: forked from a server that has imported everything.

It is put together as `choreo.worker.composition.open_worker` does, around stores and logs with a fault_point.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import sys
import threading
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

from choreo import Context
from choreo.avro import AvroCodec
from choreo.errors import ChoreoError
from choreo.kafka import KafkaLog
from choreo.participant.context import NoDatabase
from choreo.ports import Store
from choreo.worker import Worker
from choreo.worker.clock import SystemClock
from tests.broker.die_with_parent import tie
from tests.broker.group_member import join_and_leave
from tests.programs.faults.fault_point import Aim, FaultPoint
from tests.programs.faults.log import SpoilingLog, StruckLog
from tests.programs.faults.mutants import MUTANTS
from tests.programs.faults.participants import Effect, Plan, participant, row
from tests.programs.faults.postgresql import StruckPostgreSQLStore
from tests.programs.faults.store import StruckStore
from tests.stores import in_postgresql, open_store

SESSION = 1_500
"""Milliseconds after which the group gives up a member that is silent."""

_SETTINGS = {"session.timeout.ms": SESSION, "heartbeat.interval.ms": 300}
_NEAR = 300
"""Milliseconds before its time in which a deadline is waited for; no turn begins later after its take."""

_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(["tests.programs.faults.process"])


class Job(NamedTuple):
    """What one process is told: who it is, where its cluster is, what its saga looks like, what strikes.

    ``replica`` is its number among the processes of its participant.
    """

    name: str
    bootstrap: str
    plan: Plan
    aim: Aim
    replica: int = 0

    @property
    def store(self) -> Path:
        """The participant's database."""
        return self.aim.folder / f"{self.name}.db"

    @property
    def group(self) -> str:
        """The participant's group: no other cell's."""
        return f"{self.plan.topic}-{self.name}"


def start(job: Job) -> Any:
    """Start a process; it lives as long as this one at most."""
    process = _CONTEXT.Process(target=serve, args=(job,), daemon=True)
    process.start()
    return process


def serve(job: Job) -> None:
    """Run the worker until something ends it; what that was goes into the cell's folder."""
    tie(os.getppid())
    os.setsid()  # a stopped process of a group whose leader ends would be told to go on
    out = os.open(job.aim.folder / f"{job.name}.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(out, 1)
    os.dup2(out, 2)
    logging.basicConfig(level="INFO", format="%(asctime)s.%(msecs)03d %(process)d %(message)s", force=True)
    with closing(open_store(job.store)) as store:
        worker = _worker(job, store)
        try:
            worker.run()
        except ChoreoError as error:
            print(f"{time.time():.3f} {os.getpid()} ended: {type(error).__name__}: {error}", flush=True)
            sys.exit(error.exit_code)


def _worker(job: Job, store: Store) -> Worker:
    log = KafkaLog(
        job.bootstrap, job.group, instance=f"{job.name}-{job.replica}-{store.store_id}", settings=_SETTINGS
    )
    struck_store: Any = store
    struck_log: Any = log
    effect: Effect = row
    if job.name == "doer":
        fault_point = FaultPoint(job.aim)
        lacking = MUTANTS[job.plan.without](store) if job.plan.without else store
        kind = StruckPostgreSQLStore if in_postgresql() else StruckStore
        struck_store = kind(lacking, fault_point)
        struck_log = StruckLog(log, fault_point, _is_due(job.aim, store), _rebalance(job))
        effect = _effect(fault_point)
    elif job.name == "asker" and job.aim.is_broken and job.aim.cell.task == "action":
        struck_log = SpoilingLog(log, job.aim.saga_id)
    made = participant(job.name, job.plan, effect)
    return Worker(made, struck_store, struck_log, AvroCodec(made.events), SystemClock())


def _is_due(aim: Aim, store: Store) -> Callable[[], bool]:
    """Whether the deadline in question is to be done in the coming turn."""

    def is_due() -> bool:
        now = SystemClock().now()
        rows = store.due(now + _NEAR, 1_000)
        dues = [row.due for row in rows if (row.saga_id, row.task) == (aim.saga_id, "deadline")]
        if dues:  # waited for here, or it might become due between this look and the worker's own
            time.sleep(max(dues[0] - now, 0) / 1000)
        return bool(dues)

    return is_due if aim.cell.task == "deadline" else lambda: False


def _rebalance(job: Job) -> Callable[[], None]:
    """Return what makes the group's partitions move: a guest that stays until it has some of them."""
    given = (job.bootstrap, job.group, job.plan.topic, 20.0)
    return threading.Thread(target=join_and_leave, args=given, daemon=True).start


def _effect(fault_point: FaultPoint) -> Effect:
    """Return what the doer's handlers do: two rows with the fault point in between, or one call outside."""

    def effect(ctx: Context, what: str) -> None:
        aim = fault_point.aim
        broken = aim.is_broken and ctx.saga_id == aim.saga_id and ctx.task == aim.cell.task
        if broken and ctx.task != "action" and not aim.mended.exists():
            raise ConnectionError("broken")
        if isinstance(ctx.db, NoDatabase):
            _call(fault_point, ctx, what)
            return
        row(ctx, what)
        if ctx.saga_id == aim.saga_id and ctx.task == aim.cell.task:
            fault_point.reach("handler half done", RuntimeError)
        row(ctx, f"{what}, all of it")

    return effect


def _call(fault_point: FaultPoint, ctx: Context, what: str) -> None:
    """Do something in the world, which does it once for a key.

    A line of a file, since a process that is paused in the middle of a call may hold no lock there.
    """
    line = f"{ctx.idempotency_key} {ctx.saga_id} {what}\n"
    world = os.open(fault_point.aim.world, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.write(world, line.encode())
    os.close(world)
    if ctx.saga_id == fault_point.aim.saga_id and ctx.task == fault_point.aim.cell.task:
        fault_point.reach("call started", RuntimeError)
