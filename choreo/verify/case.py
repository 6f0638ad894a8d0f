"""``Case``: one saga under examination: its graph, what reaches what, and its runs."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property

from choreo.choreography import Choreography, Lock, SagaGraph, Step, role_of_all
from choreo.outcome import START
from choreo.verify.run import Run, Scenario, run
from choreo.verify.schemas import Compare, same


class Case:
    """What the rules look at; everything is worked out once, when a rule first asks for it."""

    def __init__(
        self, choreography: Choreography, graph: SagaGraph, compare: Compare = same, lock: Lock | None = None
    ) -> None:
        self.choreography = choreography
        self.graph = graph
        self.compare = compare
        self.lock = lock

    @cached_property
    def emitted(self) -> frozenset[str]:
        """Every event that somebody publishes in this saga."""
        return frozenset(self.graph.outcome)

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
    def after(self) -> dict[str, frozenset[str]]:
        """Of each step, the steps that its success leads to."""
        direct = {
            step.name: {each.name for name in step.successes for each in self.graph.triggered.get(name, ())}
            for step in self.graph.steps.values()
        }
        return {name: frozenset(_closure(name, direct)) for name in direct}

    def beside(self, step: Step) -> Iterator[Step]:
        """Give the steps on parallel branches: neither before nor after, and in one run with it."""
        for other in self.graph.steps.values():
            if other.name == step.name or not other.trigger:
                continue
            related = other.name in self.after[step.name] or step.name in self.after[other.name]
            if not related and not self.are_exclusive(step, other):
                yield other

    def are_exclusive(self, one: Step, other: Step) -> bool:
        """Say whether a choice of some step before them leads to the one or to the other."""
        for step in self.graph.steps.values():
            if len(step.successes) < 2:
                continue
            leads = [{name for name in step.successes if self._leads(name, each)} for each in (one, other)]
            if all(leads) and leads[0].isdisjoint(leads[1]):
                return True
        return False

    def _leads(self, event: str, step: Step) -> bool:
        return any(
            step.name == each.name or step.name in self.after[each.name]
            for each in self.graph.triggered.get(event, ())
        )

    @cached_property
    def runs(self) -> tuple[Run, ...]:
        """One causal run of each scenario."""
        role = role_of_all(self.graph)
        return tuple(run(self.graph, role, scenario) for scenario in self._scenarios())

    def _scenarios(self) -> Iterator[Scenario]:
        for choices in self._choices():
            good = Scenario(_title("nothing fails", choices), choices=choices)
            done = run(self.graph, role_of_all(self.graph), good)
            yield good
            executed = {event.step for event in done.log}
            yield from self._failures(executed, choices)
            for deadline in self.graph.deadlines:
                if deadline.step in executed:
                    title = _title(f"{deadline.step} answers after {deadline.name}", choices)
                    yield Scenario(title, late=deadline.name, choices=choices)
            if self.graph.contract.aborts:
                for number in range(1, len(done.log) + 1):
                    last = done.log[number - 1].step
                    yield Scenario(
                        _title(f"cancelled after {last}", choices), cancelled_at=number, choices=choices
                    )

    def _failures(self, executed: set[str], choices: dict[str, str]) -> Iterator[Scenario]:
        for step in self.graph.steps.values():
            if step.name in executed and step.can_fail and step.trigger:
                for failure in step.failures:
                    title = _title(f"{step.name} fails", choices)
                    yield Scenario(title, step.name, failure, choices=choices)

    def _choices(self) -> Iterator[dict[str, str]]:
        """Give the first success of every step, then every other success of one step."""
        yield {}
        for step in self.graph.steps.values():
            for success in step.successes[1:]:
                yield {step.name: success}


def _closure(name: str, direct: dict[str, set[str]]) -> set[str]:
    found: set[str] = set()
    waiting = list(direct.get(name, ()))
    while waiting:
        each = waiting.pop()
        if each not in found:
            found.add(each)
            waiting.extend(direct.get(each, ()))
    return found


def _title(what: str, choices: dict[str, str]) -> str:
    if not choices:
        return what
    return f"{what}; {', '.join(f'{step} answers {event}' for step, event in choices.items())}"
