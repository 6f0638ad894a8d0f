"""Resuming after kill -9 at any point of the turn, on real Kafka: every saga ends, with every effect once.

`make resumes` holds 138 rounds: each point of the turn, each task, three seeds.
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import pytest

from choreo.replay.resume import resume
from choreo.worker.clock import SystemClock
from tests.broker.kafka import BrokerFailed
from tests.broker.kafka_jars import Unavailable
from tests.conftest import unavailable
from tests.programs.faults.cells import matrix
from tests.programs.faults.contract import JobAsked
from tests.programs.faults.participants import NAMES, participant, row
from tests.programs.faults.shared_kafka import SharedKafka, Trial, open_shared_kafka
from tests.programs.faults.site import Site
from tests.replay.test_resume import delete

ROUNDS = int(os.environ.get("CHOREO_RESUMES", "2"))
SEED = int(os.environ.get("CHOREO_SEED", "20261"))

_MISSED = "the point was not reached"
"""Said of a round in which nobody was killed: a busy machine let the fuse's moment pass."""

KILLS = [cell for cell in matrix() if cell.fault == "kill" and not cell.empty_because]


@pytest.fixture
def shared_kafka(tmp_path: Path) -> Iterator[SharedKafka]:
    """Return a broker, and room for four rounds at a time."""
    with ExitStack() as stack:
        try:
            opened = stack.enter_context(open_shared_kafka(tmp_path, 4))
        except (Unavailable, BrokerFailed) as error:
            unavailable(error)
        yield opened


def rounds() -> list[Trial]:
    """Return the rounds: every cell once a seed, in any order."""
    everything = [(cell, seed) for seed in range(-(-ROUNDS // len(KILLS))) for cell in KILLS]
    return random.Random(SEED).sample(everything, ROUNDS)


def lose_and_resume(site: Site, jobs: Sequence[JobAsked], chance: random.Random) -> None:
    """Every other time, delete what the dead process had to do; then let anybody resume, again and again."""
    if not site.aim.is_broken:  # else it was started again already, to be mended
        site.until_dead("doer")
    if chance.random() < 0.5:
        delete(site.aim.folder / "doer.db", chance.choice(["outbox", "schedule"]))
    _resume_all(site, jobs, chance)
    for _ in range(chance.randint(0, 8)):  # beside the processes, which are started again meanwhile
        site.until(lambda: True, "")
        _resume_all(site, jobs, chance)


def _resume_all(site: Site, jobs: Sequence[JobAsked], chance: random.Random) -> None:
    """Resume all sagas at all participants, in any order, from a process of our own."""
    todo = [(name, job) for name in NAMES for job in jobs]
    for name, job in chance.sample(todo, len(todo)):
        store = site.stores[name]
        if store.history(job.name):
            resume(participant(name, site.plan, row), store, job.name, SystemClock().now())


@pytest.mark.kafka
def test_whoever_was_killed_anywhere_is_resumed_by_anybody(shared_kafka: SharedKafka) -> None:
    """One end each, every effect once, nothing waits; whatever the stores had lost."""
    results = list(shared_kafka.hold_all(rounds(), lose_and_resume))
    held = [each for each in results if not any(_MISSED in said for said in each.violations)]
    points = len({each.cell.point for each in held})
    repeated = sum(each.repeated for each in held)
    print(f"\n{len(held)} of {ROUNDS} rounds at {points} points, seed {SEED}: {repeated} records came twice")
    assert {(str(each.cell), each.seed): each.violations for each in held if each.violations} == {}
    assert len(held) >= 0.9 * ROUNDS
    # Who was killed when nothing was left to do is not started again, and not counted.
    assert any(end.endswith("SIGKILL") for each in held for end in each.ends)
