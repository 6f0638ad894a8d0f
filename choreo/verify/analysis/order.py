"""``Order``: which steps of a saga come before, after and beside which others, for all of its choices."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from itertools import islice, product

from choreo.graph import SagaGraph, Step
from choreo.manifest import HandlerEntry
from choreo.outcome import START
from choreo.protocol import Trigger

Ways = list[dict[str, str]]
"""Ways through a saga: for each step that is a choice, the success event that it emits."""

_MOST_WAYS = 64
"""Up to so many ways through a saga, its choices are taken together; of more, each choice by itself."""


def _unchecked() -> None:
    """Let everything take as long as it takes."""


class Order:
    """The order of the steps of one saga, read off its triggers; nothing runs.

    ``check`` is called in every loop that may become long, and raises where there is no more time.
    """

    def __init__(self, graph: SagaGraph, check: Callable[[], None] = _unchecked) -> None:
        self.graph = graph
        self.check = check
        self._without: dict[str, frozenset[str]] = {}
        self._possible: dict[frozenset[tuple[str, str]], frozenset[str]] = {}
        self._parted: dict[str, list[tuple[Ways, Ways]]] = {}

    @cached_property
    def reachable(self) -> frozenset[str]:
        """Every event that can occur in some run."""
        graph = self.graph
        found = {graph.contract.starts, *graph.imports} | ({graph.contract.aborts} - {""})
        steps = [step for step in graph.steps.values() if step.trigger]
        while True:
            self.check()
            before = len(found)
            for step in steps:
                if step.trigger.satisfied(found):
                    found.update(step.successes, step.failures, step.answers)
            found.update(name for deadline in graph.deadlines for name in deadline.emits.successes)
            found.update(graph.steps[START].answers)
            if len(found) == before:
                return frozenset(found)

    @cached_property
    def cycles(self) -> tuple[tuple[str, ...], ...]:
        """The cycles of steps, each once, beginning with the step by which it is entered."""
        found: dict[frozenset[str], tuple[str, ...]] = {}
        for name in self.graph.steps:
            self.check()
            if name in self.after[name]:
                members = [
                    each for each in self.graph.steps if each in self.after[name] and name in self.after[each]
                ]
                found.setdefault(frozenset(members), tuple(sorted(members, key=self._is_inner)))
        return tuple(found.values())

    def _is_inner(self, name: str) -> bool:
        """Whether a step of a cycle is triggered only from within the cycle."""
        types = self.graph.steps[name].trigger.types
        owners = {self.graph.outcome[event][0] for event in types if event in self.graph.outcome}
        return owners <= self.after[name]

    @cached_property
    def after(self) -> dict[str, frozenset[str]]:
        """The steps that the success of each step leads to."""
        return {
            step.name: frozenset().union(*(self._led_to(name) for name in step.successes))
            for step in self.graph.steps.values()
        }

    def beside(self, step: Step) -> Iterator[Step]:
        """Return the steps that may run in parallel with this one, and whose outcome it doesn't wait for.

        A step that precedes it on one way only (``A | B``) is beside it, too: the other way may be taken.
        """
        self.check()
        for other in self.graph.steps.values():
            if other.name == step.name or not other.trigger or other.name in self.after[step.name]:
                continue
            if not self.is_surely_before(other, step) and not self.are_exclusive(other, step):
                yield other

    def is_surely_before(self, one: Step, other: Step) -> bool:
        """Whether the second step is only ever triggered after the success of the first."""
        if other.name not in self.after[one.name]:
            return False
        return not other.trigger.satisfied(self._events_without(one))

    def may_be_undone(self, *successes: str) -> bool:
        """Whether a failure, timeout or cancellation can still come after all of these success events."""
        steps = [self.graph.outcome[success][0] for success in successes]
        return any(True for success in successes for _ in self.first_failures(success, steps))

    def first_failures(self, success: str, settled: Sequence[str] = ()) -> Iterator[str]:
        """Return the events that may begin a rollback after a success; steps ``settled`` have succeeded."""
        step = self.graph.steps[self.graph.outcome[success][0]]
        after = (self.graph.steps[name] for name in sorted(self._led_to(success)))
        for each in (*after, *self.beside(step)):
            if each.name not in settled:
                yield from each.failures
        for deadline in self.graph.deadlines:
            if deadline.step != step.name and self.may_pass(deadline, step):
                yield from deadline.emits.successes

    def possible(self, success: str) -> frozenset[str]:
        """Return the events that can come in a saga in which a success event comes."""
        self.check()
        step = self.graph.steps[self.graph.outcome[success][0]]
        own = {step.name: success} if len(step.successes) > 1 else {}
        chosen = [{**way, **own} for ways in self._ways for way in ways if self._comes(step, way)]
        done = [each for each in self.graph.steps.values() if self.is_surely_before(each, step)]
        late = [each for each in self.graph.deadlines if not self.may_pass(each, step)]
        never = (name for deadline in late for name in deadline.emits.successes)
        come = frozenset().union(*map(self._events_on, chosen or [own]))
        return come.difference(never, step.failures, *(each.failures for each in done))

    def may_pass(self, deadline: HandlerEntry, step: Step) -> bool:
        """Whether a deadline may still pass when a step has succeeded, on a way not taken, too."""
        self.check()
        watched = self.graph.steps.get(deadline.step)
        if watched is None or self.is_surely_before(watched, step):
            return False
        ways = ({**way, watched.name: ""} for some in self._ways for way in some)
        return any(
            self._comes(step, way) and deadline.trigger.satisfied(self._events_on(way)) for way in ways
        )

    def comes_without(self, step: Step, trigger: Trigger) -> bool:
        """Whether a trigger can be met when a step never has an outcome."""
        come = self._events_without(step) - {*step.failures, *step.answers}
        return trigger.satisfied(come)

    def _events_without(self, step: Step) -> frozenset[str]:
        """Return the events that can still come when a step never succeeds."""
        if step.name not in self._without:
            self._without[step.name] = self._closure({step.name: ""})
        return self._without[step.name]

    def _events_on(self, chosen: Mapping[str, str]) -> frozenset[str]:
        """Return the events that can come where some steps succeed with one event only, or never (with "").

        A half-filled join can only be refused.
        """
        key = frozenset(chosen.items())
        if key not in self._possible:
            self._possible[key] = self._closure(chosen)
        return self._possible[key]

    def _closure(self, chosen: Mapping[str, str]) -> frozenset[str]:
        self.check()
        graph = self.graph
        late = (name for deadline in graph.deadlines for name in deadline.emits.successes)
        never = {
            name for step, kept in chosen.items() for name in graph.steps[step].successes if name != kept
        }
        come = {graph.contract.starts, graph.contract.aborts, *graph.imports, *late} - never
        waiting, called = list(come), set[str]()
        while waiting:
            for step in graph.triggered.get(waiting.pop(), ()):
                if step.name in called:
                    continue
                new = set(step.failures)
                if step.trigger.satisfied(come):
                    called.add(step.name)
                    new.update(step.successes, step.answers)
                new -= come
                new -= never
                waiting += new
                come |= new
        return frozenset(come)

    def _comes(self, step: Step, chosen: Mapping[str, str]) -> bool:
        return not step.trigger or step.trigger.satisfied(self._events_on(chosen))

    def are_exclusive(self, one: Step, other: Step) -> bool:
        """Whether no way leads both to the first step and, without it, to the second."""
        if not self._choices:
            return False
        self.check()
        return any(
            any(self._comes_without(one, other, way) for way in apart)
            and not any(self._comes_without(one, other, way) for way in together)
            for apart, together in self._parting(one)
        )

    def _parting(self, step: Step) -> list[tuple[Ways, Ways]]:
        """Return, of the choices that decide on a step, the ways that don't lead to it and those that do."""
        if step.name not in self._parted:
            both = (
                (
                    [way for way in ways if not self._comes(step, way)],
                    [way for way in ways if self._comes(step, way)],
                )
                for ways in self._ways
            )
            self._parted[step.name] = [(apart, together) for apart, together in both if apart]
        return self._parted[step.name]

    def _comes_without(self, one: Step, other: Step, way: dict[str, str]) -> bool:
        """Whether a way leads to the second step when the first one never succeeds."""
        never = self._events_on(way).isdisjoint(one.successes)
        return self._comes(other, way if never else {**way, one.name: ""})

    def may_be_refused_beside(self, one: Step, other: Step) -> bool:
        """Whether the first step, such as a join, can be refused where a choice leads to the second."""
        return all(
            any(
                self._comes(other, {**way, one.name: ""})
                and not self._events_on(way).isdisjoint(one.failures)
                for way in ways
            )
            for ways in self._ways
        )

    @cached_property
    def _ways(self) -> list[Ways]:
        """Every way through a saga: one event of each choice; of too many ways, each choice by itself."""
        names = [step.name for step in self._choices]
        ways = product(*(step.successes for step in self._choices))
        some = list(islice(ways, _MOST_WAYS + 1))
        if len(some) > _MOST_WAYS:
            return [[{step.name: name} for name in step.successes] for step in self._choices]
        return [[dict(zip(names, way, strict=True)) for way in some]]

    @cached_property
    def _choices(self) -> list[Step]:
        return [step for step in self.graph.steps.values() if len(step.successes) > 1]

    def _led_to(self, event: str) -> set[str]:
        """Return the steps that an event leads to."""
        self.check()
        found: set[str] = set()
        waiting = [event]
        while waiting:
            for step in self.graph.triggered.get(waiting.pop(), ()):
                if step.name not in found:
                    found.add(step.name)
                    waiting.extend(step.successes)
        return found
