"""``explore``: runs every interleaving of a small saga, or random ones of a large saga."""

from __future__ import annotations

import inspect
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from time import monotonic
from typing import Any, NamedTuple

from choreo.errors import ConfigurationError
from choreo.participant import Participant
from choreo.testing.account import telling
from choreo.testing.harness import Harness
from choreo.testing.invariants import check
from choreo.testing.moves import NOTHING, Budget, Move
from choreo.testing.plain import call
from choreo.testing.schedule import Chooser, Schedule, Scripted, Seeded, shrink
from choreo.testing.simulation import Violation

_SHRINK_SECONDS = 60
"""The time within which a failing schedule is shrunk."""

Begin = Callable[..., object]
"""A function that starts sagas; it may take the harness."""


@dataclass
class Explored:
    """The extent of an exploration: complete runs, visited states, and the number of sagas by end.

    ``refused`` counts how often the next release of a participant refused to start.
    """

    runs: int = 0
    states: int = 0
    ends: Counter[str] = field(default_factory=Counter)
    refused: int = 0

    def __str__(self) -> str:
        ends = ", ".join(f"{count} {end}" for end, count in sorted(self.ends.items()))
        refused = f"; a release refused {self.refused} times" if self.refused else ""
        return f"{self.runs} runs, {self.states} states: {ends}{refused}"


class Plan(NamedTuple):
    """The parameters of an exploration."""

    participants: Sequence[Participant]
    begin: Begin
    budget: Budget
    invariant: Callable[[Mapping[str, Any]], object] | None
    reduces: bool = False
    releases: Sequence[Participant] = ()

    def run(self, chooser: Chooser, has_time: Callable[[], bool]) -> None:
        """Run to the end, and check everything. Raises `Violation`, or `_OutOfTime`."""
        with self.opened(chooser) as harness:
            self.play(harness, has_time)

    def opened(self, chooser: Chooser) -> Harness:
        """Return a new harness of the participants."""
        options = {"chooser": chooser, "budget": self.budget, "reduces": self.reduces}
        return Harness(self.participants, imports=True, releases=self.releases, **options)  # type: ignore[arg-type]

    def play(self, harness: Harness, has_time: Callable[[], bool] = lambda: True) -> list[str]:
        """Start sagas, run and check them; return the state of each."""
        parameters = inspect.signature(self.begin).parameters.values()
        takes_harness = any(each.default is each.empty for each in parameters)
        with telling(harness):
            call(self.begin, "begin=", *([harness] if takes_harness else []))
            harness.run(until=lambda: not has_time())
            if not has_time():
                raise _OutOfTime
            check(harness)
            self._check_invariant(harness)
        return harness.ends()

    def _check_invariant(self, harness: Harness) -> None:
        try:
            if self.invariant and call(self.invariant, "invariant=", harness.databases) is False:
                raise Violation("the invariant does not hold")
        except AssertionError as error:
            complaint = error.complaint if isinstance(error, Violation) else f"the invariant says: {error}"
            raise Violation(complaint) from None


def explore(
    *participants: Participant,
    begin: Begin,
    budget: Budget = NOTHING,
    seeds: int = 0,
    first_seed: int = 0,
    schedule: str = "",
    invariant: Callable[[Mapping[str, Any]], object] | None = None,
    limit: int = 20_000,
    releases: Sequence[Participant] = (),
) -> Explored:
    """Run the participants' sagas in every possible order of moves, and check the invariants at each end.

    ``begin`` starts sagas, and may take the harness; ``budget`` is the number of faults, which may occur at
    every moment, by default none. All interleavings up to ``limit`` states are visited, but only one of those
    that differ in the order of independent moves. What the participants import comes by itself, once in each
    saga, at every moment after its start. For a large saga, ``seeds`` is a number of random runs
    instead, beginning with the seed ``first_seed``. ``invariant`` is that of the service, as for
    `choreo.testing.failure_matrix`. ``releases`` are the next releases of some of the participants: each
    starts at every moment, after every possible part of the sagas and in every order, at rest at the latest.
    One that is refused, as sagas in flight need what it lacks, is tried again at rest.

    Raises `Violation` for the first run that violates an invariant, with its seed and the shrunk schedule,
    which ``schedule=`` runs again; `ConfigurationError` beyond the limit. Source: Godefroid, *Model Checking
    for Programming Languages using VeriSoft* (POPL 1997).

    >>> from choreo.testing import Budget, explore
    >>> from examples.orders.contract import OrderCreated
    >>> from examples.orders.orders import orders, place_order
    >>> from examples.orders.inventory import inventory
    >>> order = OrderCreated("o-1", "ada", "pear", 50, 100, "12 Elm Street")
    >>> print(explore(orders, inventory, begin=lambda: place_order(order), budget=Budget(repeats=1)))
    9 runs, 8 states: 9 failed
    """
    plan = Plan(participants, begin, budget, invariant, releases=releases)
    if schedule:
        return _go(plan, [Scripted(Schedule.parse(schedule))])
    if seeds:
        return _go_randomly(plan, range(first_seed, first_seed + seeds))
    return _go_everywhere(plan._replace(reduces=True), limit)


def _go(plan: Plan, choosers: Sequence[Chooser]) -> Explored:
    found = Explored()
    for chooser in choosers:
        with plan.opened(chooser) as harness:
            found.ends.update(plan.play(harness))
            found.runs += 1
            found.states += len(harness.moves)
            found.refused += len(harness.refused)
    return found


def _go_randomly(plan: Plan, seeds: Sequence[int]) -> Explored:
    found = Explored()
    for seed in seeds:
        with plan.opened(Seeded(seed)) as harness:
            try:
                found.ends.update(plan.play(harness))
            except Violation as violation:
                raise _shrunk(plan, harness.choices.schedule, violation, f"seed {seed}") from None
            found.runs += 1
            found.states += len(harness.moves)
            found.refused += len(harness.refused)
    return found


def _go_everywhere(plan: Plan, limit: int) -> Explored:
    found = Explored()
    seen: set[Any] = set()
    prefixes: list[list[int]] = [[]]
    while prefixes:
        prefix = prefixes.pop()
        explorer = _Explorer(prefix, seen)
        with plan.opened(explorer) as harness:
            explorer.state = harness.fingerprint
            try:
                found.ends.update(plan.play(harness))
                found.runs += 1
                found.refused += len(harness.refused)
            except _SeenBefore:
                pass
            except Violation as violation:
                raise _shrunk(plan, harness.choices.schedule, violation, "every interleaving") from None
        prefixes += explorer.branches
        found.states = len(seen)
        if len(seen) > limit:
            raise ConfigurationError(
                f"more than {limit} states", hint="give seeds=… to go random ways, or a smaller budget"
            )
    return found


class _OutOfTime(BaseException):
    """Raised where a run would take longer than there is time to shrink a schedule."""


class _SeenBefore(BaseException):
    """Raised where a run reaches a state from which another run has continued."""


class _Explorer:
    """Makes the choices of a prefix, then calm moves through new states, and collects the branches."""

    def __init__(self, prefix: list[int], seen: set[Any]) -> None:
        self.branches: list[list[int]] = []
        self.state: Callable[[], Any] = lambda: None
        self._prefix = prefix
        self._seen = seen
        self._made: list[int] = []

    def choose(self, moves: Sequence[Move]) -> int:
        """Return the choice of the prefix, or 0 beyond its end. Raises `_SeenBefore` in a visited state."""
        place = len(self._made)
        if place < len(self._prefix):
            choice = self._prefix[place]
        else:
            state = (self.state(), tuple(moves))
            if state in self._seen:
                raise _SeenBefore
            self._seen.add(state)
            self.branches += [[*self._made, other] for other in range(1, len(moves))]
            choice = 0
        self._made.append(choice)
        return choice


def _shrunk(plan: Plan, schedule: Schedule, violation: Violation, origin: str) -> Violation:
    """Return the violation of the shortest failing schedule found within a minute, with that schedule."""
    until = monotonic() + _SHRINK_SECONDS
    complaints: dict[Schedule, str] = {}

    def has_time() -> bool:
        return monotonic() < until

    def fails(tried: Schedule) -> bool:
        try:
            plan.run(Scripted(tried), has_time)
        except Violation as again:
            complaints[tried] = str(again)
        except (_OutOfTime, Exception):  # another failure is not the one to be shrunk
            return False
        return tried in complaints

    shortest = shrink(schedule, fails, has_time)
    if shortest is None and has_time():
        return Violation(
            f"{violation}\n{origin}: it did not happen again on the same schedule: "
            "does a handler use the clock or chance?"
        )
    shortest = shortest or schedule
    complaint = complaints.get(shortest, str(violation))
    return Violation(f'{complaint}\n{origin}; go it again with schedule="{shortest}"')
