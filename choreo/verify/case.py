"""``Case``: one saga that the rules examine, with its order, its runs and their violations."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import cached_property
from typing import TypeVar

from choreo.graph import Choreography, Lock, SagaGraph
from choreo.outcome import SUCCEEDED
from choreo.verify.analysis.order import Order
from choreo.verify.analysis.schemas import Compare, same
from choreo.verify.engine.budget import DEFAULT, Budget, Clock, Meter, no_clock
from choreo.verify.engine.counterexample import search_of, violations_of
from choreo.verify.engine.model import Model
from choreo.verify.engine.run import Run
from choreo.verify.engine.scenarios import causal_runs
from choreo.verify.engine.search import Search
from choreo.verify.engine.violations import Violation, violations
from choreo.verify.properties import Property
from choreo.verify.rollout.judgement import Judgement, judge
from choreo.verify.rollout.mixture import Rollout

Each = TypeVar("Each")


class Case:
    """One saga: its graph, the order of its steps, its runs, their violations; computed when first used.

    ``rollout`` is its release, where an ``older`` choreography has the saga, too.
    ``applied`` are the rules that were applied to the end, ``is_searched`` says whether every order of events
    was looked at.
    """

    def __init__(
        self,
        choreography: Choreography,
        graph: SagaGraph,
        compare: Compare = same,
        lock: Lock | None = None,
        budget: Budget = DEFAULT,
        clock: Clock = no_clock,
        older: Choreography | None = None,
    ) -> None:
        self.choreography = choreography
        self.graph = graph
        self.compare = compare
        self.lock = lock
        self.budget = budget
        self.meter = Meter(budget, clock)
        self.meter_of_release = Meter(budget, clock)
        self.rollout = _rollout(older, graph) if older else None
        self.applied: set[str] = set()
        self.is_searched = False

    def checked(self, several: Iterable[Each]) -> Iterator[Each]:
        """Return these things one by one, as long as there is time."""
        for each in several:
            self.meter.check()
            yield each

    @cached_property
    def emitted(self) -> frozenset[str]:
        """Every event that is an outcome of a step of this saga."""
        return frozenset(self.graph.outcome)

    @cached_property
    def settled(self) -> frozenset[str]:
        """Every event that needs no emitter in the saga; CHO105 and CHO201 check that its ends have one."""
        contract = self.graph.contract
        return self.emitted | self.graph.imports | {contract.completes, contract.fails}

    @cached_property
    def order(self) -> Order:
        """The order of the saga's steps."""
        return Order(self.graph, self.meter.check)

    @cached_property
    def model(self) -> Model:
        """The saga as it is explored."""
        return Model(self.graph)

    @cached_property
    def runs(self) -> tuple[Run, ...]:
        """One causal run of each scenario."""
        return tuple(causal_runs(self.model, self.budget.troubles, self.meter))

    @cached_property
    def whole_runs(self) -> tuple[Run, ...]:
        """The runs that are not repeats of another: enough to search them for violations."""
        return tuple(run for run in self.runs if not run.is_repeat)

    def run_of(self, scenario: str) -> Run | None:
        """Return the run of a scenario, by its title."""
        return next((run for run in self.runs if run.scenario.title == scenario), None)

    def shortest_run(self, events: frozenset[str], *steps: str) -> Run | None:
        """Return the shortest run not completed in which these events came and these steps were done."""
        return self.shortest(
            lambda run: (
                events <= {event.type for event in run.events}
                and set(steps) <= {event.step for event in run.events if event.outcome == SUCCEEDED}
            )
        )

    def shortest(self, fits: Callable[[Run], bool]) -> Run | None:
        """Return the shortest run not completed that fits."""
        runs = [run for run in self.checked(self.runs) if run.end != "completed" and fits(run)]
        return min(runs, key=lambda run: (len(run.scenario.troubles), len(run.events)), default=None)

    @cached_property
    def violations(self) -> dict[Property, list[Violation]]:
        """The properties that runs violate; of each step the first run that does."""
        found: dict[tuple[Property, str], Violation] = {}
        for run in self.checked(self.whole_runs):
            for each in violations(self.graph, run):
                found.setdefault((each.property, each.step), each)
        by_property: dict[Property, list[Violation]] = {}
        for each in found.values():
            by_property.setdefault(each.property, []).append(each)
        return by_property

    @cached_property
    def search(self) -> Search:
        """The search of the saga."""
        return search_of(self.graph, self.budget.troubles)

    @cached_property
    def judgement(self) -> Judgement:
        """What breaks while the participants are upgraded from the older choreography to this one."""
        assert self.rollout
        self.meter_of_release.phase = "the release"
        return judge(self.rollout, self.budget.troubles, self.meter_of_release)

    @cached_property
    def counterexamples(self) -> tuple[Violation, ...]:
        """The violations that the search finds."""
        return tuple(violations_of(self.search, self.meter))


def _rollout(older: Choreography, graph: SagaGraph) -> Rollout | None:
    """Return the rollout of a saga, None where none of its version can be in flight or be acted on before.

    Whoever doesn't know a version that is new holds its sagas, and does everything once it knows it: it is
    late, as the search of the new choreography has it be. One that is dropped, as where a release is rolled
    back, is acted on by nobody who is upgraded.
    """
    version = graph.versions.since
    of_saga = [each for each in older.graphs if each.name == graph.name]
    found = (each for each in of_saga if each.versions.includes(version))
    old = next((each for each in found if version <= each.contract.version), None)
    return Rollout(old, graph, is_dropped=version > graph.contract.version) if old else None
