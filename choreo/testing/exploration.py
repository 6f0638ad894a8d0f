"""``explore``: every interleaving of a small saga, or a random part of those of a large one."""

from __future__ import annotations

import inspect
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from choreo.errors import ConfigurationError
from choreo.participant import Participant
from choreo.testing.harness import Harness
from choreo.testing.invariants import check
from choreo.testing.moves import NOTHING, Budget, Move
from choreo.testing.schedule import Chooser, Schedule, Scripted, Seeded, shrink
from choreo.testing.simulation import Violation

Begin = Callable[..., object]
"""Starts sagas; may take the harness."""


@dataclass
class Explored:
    """The extent of an exploration: runs to their end, states on the way, and how the sagas ended."""

    runs: int = 0
    states: int = 0
    ends: Counter[str] = field(default_factory=Counter)

    def __str__(self) -> str:
        ends = ", ".join(f"{count} {end}" for end, count in sorted(self.ends.items()))
        return f"{self.runs} runs, {self.states} states: {ends}"


class Plan(NamedTuple):
    """What is explored: participants, what starts sagas, what may go wrong, and what must hold."""

    participants: Sequence[Participant]
    begin: Begin
    budget: Budget
    invariant: Callable[[Mapping[str, Any]], object] | None
    reduces: bool = False

    def run(self, chooser: Chooser) -> Harness:
        """Run to the end and check everything; the harness is closed. Raises `Violation`."""
        with self.opened(chooser) as harness:
            self.play(harness)
            return harness

    def opened(self, chooser: Chooser) -> Harness:
        """Return a new harness of the participants."""
        return Harness(self.participants, chooser=chooser, budget=self.budget, reduces=self.reduces)

    def play(self, harness: Harness) -> list[str]:
        """Start, run and check; return how the sagas ended."""
        takes_harness = bool(inspect.signature(self.begin).parameters)
        self.begin(harness) if takes_harness else self.begin()
        harness.run()
        check(harness)
        if self.invariant is not None and self.invariant(harness.databases) is False:
            raise Violation("the invariant does not hold")
        return [harness.state(saga_id) for _, saga_id in harness.sagas()]


def explore(
    *participants: Participant,
    begin: Begin,
    budget: Budget = NOTHING,
    seeds: int = 0,
    first_seed: int = 0,
    schedule: str = "",
    invariant: Callable[[Mapping[str, Any]], object] | None = None,
    limit: int = 20_000,
) -> Explored:
    """Run the participants' sagas in every possible order of moves, and check the invariants at each end.

    ``begin`` starts sagas; ``budget`` is what may go wrong, at every moment, by default nothing. All
    interleavings are visited, those that differ only in the order of independent moves once, up to ``limit``
    states. For a large saga give ``seeds``: the number of random runs, counted from ``first_seed``.
    ``invariant`` is the service's own, as for `choreo.testing.failure_matrix`.

    Raises `Violation` for the first run that breaks something, with its seed and the shrunk schedule, which
    ``schedule=`` runs again; `ConfigurationError` beyond the limit.

    >>> from choreo.testing import Budget, explore
    >>> from examples.orders.contract import OrderCreated
    >>> from examples.orders.orders import orders, place_order
    >>> from examples.orders.inventory import inventory
    >>> order = OrderCreated("o-1", "ada", "pear", 50, 100, "12 Elm Street")
    >>> print(explore(orders, inventory, begin=lambda: place_order(order), budget=Budget(repeats=1)))
    9 runs, 8 states: 9 failed
    """
    plan = Plan(participants, begin, budget, invariant)
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
    return found


def _go_everywhere(plan: Plan, limit: int) -> Explored:
    found = Explored()
    seen: set[Any] = set()
    open_ways: list[list[int]] = [[]]
    while open_ways:
        way = open_ways.pop()
        pioneer = _Pioneer(way, seen)
        with plan.opened(pioneer) as harness:
            pioneer.state = harness.fingerprint
            try:
                found.ends.update(plan.play(harness))
                found.runs += 1
            except _SeenBefore:
                pass
            except Violation as violation:
                raise _shrunk(plan, harness.choices.schedule, violation, "every interleaving") from None
        open_ways += pioneer.branches
        found.states = len(seen)
        if len(seen) > limit:
            raise ConfigurationError(
                f"more than {limit} states", hint="give seeds=… to go random ways, or a smaller budget"
            )
    return found


class _SeenBefore(BaseException):
    """Raised where a run meets another that went on from there already."""


class _Pioneer:
    """Follows a way, then makes calm moves through new states, and collects the branches."""

    def __init__(self, way: list[int], seen: set[Any]) -> None:
        self.branches: list[list[int]] = []
        self.state: Callable[[], Any] = lambda: None
        self._way = way
        self._seen = seen
        self._gone: list[int] = []

    def choose(self, moves: Sequence[Move]) -> int:
        """Choose as the way does; beyond its end, stop in a state that was seen before."""
        place = len(self._gone)
        if place < len(self._way):
            choice = self._way[place]
        else:
            state = (self.state(), tuple(moves))
            if state in self._seen:
                raise _SeenBefore
            self._seen.add(state)
            self.branches += [[*self._gone, other] for other in range(1, len(moves))]
            choice = 0
        self._gone.append(choice)
        return choice


def _shrunk(plan: Plan, schedule: Schedule, violation: Violation, origin: str) -> Violation:
    """Return the violation of the shortest schedule that still breaks something, with that schedule."""

    def broken(tried: Schedule) -> str:
        try:
            plan.run(Scripted(tried))
        except Violation as again:
            return str(again)
        return ""

    shortest = shrink(schedule, lambda tried: bool(broken(tried)))
    complaint = broken(shortest) if shortest is not None else ""
    if not complaint:
        return Violation(
            f"{violation}\n{origin}: it did not happen again on the same schedule: "
            "does a handler use the clock or chance?"
        )
    return Violation(f'{complaint}\n{origin}; go it again with schedule="{shortest}"')
