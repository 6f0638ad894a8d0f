"""``Case``: one saga under examination: its graph, what reaches what, and its runs."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property

from choreo.graph import Choreography, Lock, SagaGraph
from choreo.outcome import START
from choreo.verify.analysis.order import Order
from choreo.verify.analysis.schemas import Compare, same
from choreo.verify.engine.budget import DEFAULT, Budget, Clock, Meter, no_clock
from choreo.verify.engine.causal import causal_runs
from choreo.verify.engine.model import Model
from choreo.verify.engine.run import Run
from choreo.verify.engine.script import run_of
from choreo.verify.engine.search import Search
from choreo.verify.engine.slices import slices
from choreo.verify.engine.violations import Violation, violations
from choreo.verify.properties import Property


class Case:
    """What the rules look at; everything is worked out once, when a rule first asks for it."""

    def __init__(
        self,
        choreography: Choreography,
        graph: SagaGraph,
        compare: Compare = same,
        lock: Lock | None = None,
        budget: Budget = DEFAULT,
        clock: Clock = no_clock,
    ) -> None:
        self.choreography = choreography
        self.graph = graph
        self.compare = compare
        self.lock = lock
        self.budget = budget
        self.meter = Meter(budget, clock)

    @cached_property
    def emitted(self) -> frozenset[str]:
        """Every event that somebody publishes in this saga."""
        return frozenset(self.graph.outcome)

    @cached_property
    def settled(self) -> frozenset[str]:
        """Every event of which it need not be asked who emits it.

        Of the saga's ends, CHO105 and CHO201 ask that.
        """
        contract = self.graph.contract
        return self.emitted | self.graph.imports | {contract.completes, contract.fails}

    @cached_property
    def reachable(self) -> frozenset[str]:
        """Every event that can come, in some run."""
        graph = self.graph
        found = {graph.contract.starts, *graph.imports} | ({graph.contract.aborts} - {""})
        steps = [step for step in graph.steps.values() if step.trigger]
        while True:
            before = len(found)
            for step in steps:
                if any(option <= found for option in step.trigger):
                    found.update(step.successes, step.failures, step.answers)
            found.update(name for deadline in graph.deadlines for name in deadline.emits.successes)
            found.update(graph.steps[START].answers)
            if len(found) == before:
                return frozenset(found)

    @cached_property
    def order(self) -> Order:
        """What comes before, after and beside what."""
        return Order(self.graph)

    @cached_property
    def circles(self) -> tuple[tuple[str, ...], ...]:
        """Steps that lead back to themselves, each circle once, with the one that is led into first."""
        after = self.order.after
        found: dict[frozenset[str], tuple[str, ...]] = {}
        for name in self.graph.steps:
            if name in after[name]:
                members = [each for each in self.graph.steps if each in after[name] and name in after[each]]
                found.setdefault(frozenset(members), tuple(sorted(members, key=self._is_within)))
        return tuple(found.values())

    def _is_within(self, name: str) -> bool:
        """Say whether nothing from outside of its circle triggers a step."""
        trigger = frozenset[str]().union(*self.graph.steps[name].trigger)
        owners = {self.graph.outcome[event][0] for event in trigger if event in self.graph.outcome}
        return owners <= self.order.after[name]

    @cached_property
    def model(self) -> Model:
        """The saga as the engine runs it."""
        return Model(self.graph)

    @cached_property
    def runs(self) -> tuple[Run, ...]:
        """One causal run of each scenario."""
        return tuple(causal_runs(self.model, self.budget.troubles, self.meter))

    @cached_property
    def whole_runs(self) -> tuple[Run, ...]:
        """The runs that went their own way to the end: enough for whoever looks for what no run may do."""
        return tuple(run for run in self.runs if not run.is_repeat)

    def run_of(self, scenario: str) -> Run | None:
        """Give the run of a scenario, by its title."""
        return next((run for run in self.runs if run.scenario.title == scenario), None)

    @cached_property
    def violations(self) -> dict[Property, list[Violation]]:
        """The properties that runs violate; of each step the first run that does."""
        found: dict[tuple[Property, str], Violation] = {}
        for run in self.whole_runs:
            for each in violations(self.graph, run):
                found.setdefault((each.property, each.step), each)
        by_property: dict[Property, list[Violation]] = {}
        for each in found.values():
            by_property.setdefault(each.property, []).append(each)
        return by_property

    @cached_property
    def searched(self) -> tuple[Violation, ...]:
        """What the search of every slice finds."""
        self.meter.time()
        return tuple(self._search())

    def _search(self) -> Iterator[Violation]:
        for part in slices(self.graph):
            model = Model(part)
            dead = Search(model, self.budget.troubles).run(self.meter)
            if dead:
                run = run_of(model, dead.way)
                whole = part.steps.keys() >= self.graph.steps.keys()
                yield Violation(dead.property, dead.step, run, (len(run.log) - 1,), whole)
