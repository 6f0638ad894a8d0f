"""One trial: one cell of the matrix with one seed, from the first process to the books."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from tests.broker.any_broker import unique
from tests.programs.faults.cells import CALLS, OUTSIDE, Cell
from tests.programs.faults.checks import is_quiet, repeated, violations
from tests.programs.faults.contract import JobAsked
from tests.programs.faults.fault_point import Aim
from tests.programs.faults.participants import Plan, Runs
from tests.programs.faults.site import Site

_CHECKS = {"action": "passes", "compensation": "fails", "deadline": "never ends"}
_SHORT, _LONG = 0.8, 300.0
"""Seconds of the deadline, where it is to come, and where it is not."""


class Result(NamedTuple):
    """What came of a trial."""

    cell: Cell
    seed: int
    seconds: float
    violations: Sequence[str]
    ends: Sequence[str]
    repeated: int = 0


class Place(NamedTuple):
    """Where trials are held: the broker, its address behind a line of the proxy, and that line."""

    bootstrap: str
    through: str
    control: int
    line: int


Care = Callable[[Site, Sequence[JobAsked], random.Random], None]
"""What somebody does to the site once the fault has struck."""


def hold(
    cell: Cell,
    seed: int,
    place: Place,
    folder: Path,
    care: Care | None = None,
    *,
    without: str = "",
    replicas: int = 1,
    seconds: float = 60.0,
) -> Result:
    """Hold a trial. Whatever goes wrong is a violation; nothing is raised.

    ``without`` is a mutant's, and ``replicas`` the processes of each participant, see `Plan`; ``seconds``
    bounds every wait.
    """
    began = time.monotonic()
    folder.mkdir(parents=True)
    chance = random.Random(f"{cell} {seed}")
    jobs = _jobs(cell, chance)
    aim = Aim(cell, seed, jobs[0].name, folder, place.control, place.line)
    plan = _plan(cell, seed)._replace(without=without, replicas=replicas)
    site = Site(place.bootstrap, place.through, plan, aim, seconds)
    try:
        with site:
            chance.shuffle(jobs)
            site.ask(jobs)
            _strike(site, cell, seed, lambda: is_quiet(site, jobs))
            if care is not None:
                care(site, jobs, chance)
            site.until(lambda: is_quiet(site, jobs), "the sagas have not ended")
            found, again = violations(site, jobs), repeated(site)
    except Exception as error:
        found, again = [f"{type(error).__name__}: {error}"], 0
    ends = [f"{count} × {how}" for how, count in site.ends.items()]
    return Result(cell, seed, time.monotonic() - began, found, ends, again)


def _strike(site: Site, cell: Cell, seed: int, quiet: Callable[[], bool]) -> None:
    """Wait until the fault has struck, and do what it takes to go on from there."""
    site.until_struck()
    if cell.fault == "pause":
        site.until_given_up()
        done = quiet if cell.point in OUTSIDE else lambda: True
        if seed % 2 and site.plan.replicas > 1:
            site.until(done, "the other replicas did not do the paused one's work")
            site.resume()
        elif seed % 2:
            site.replace(done)
        else:
            site.resume()
    if site.aim.is_broken:
        site.mend()


def _jobs(cell: Cell, chance: random.Random) -> list[JobAsked]:
    """Return the saga that is struck, and two beside it."""
    check, number = _CHECKS[cell.task], chance.randrange(1_000_000)
    others = [check, check] if cell.task == "deadline" else ["passes", "fails"]
    return [JobAsked(f"job-{number}-{index}", each) for index, each in enumerate([check, *others])]


def _plan(cell: Cell, seed: int) -> Plan:
    runs: Runs = ("coroutine", "thread")[seed % 2] if cell.point in CALLS else "turn"  # type: ignore[assignment]
    within = _SHORT if cell.task == "deadline" else _LONG
    return Plan(unique("faults"), within, runs, 1 if cell.point == "dead letter written" else 5)
