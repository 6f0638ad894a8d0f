"""``Order``: which steps of a saga come before, after and beside which others, for all of its choices."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from itertools import islice, product

from choreo.graph import SagaGraph, Step
from choreo.manifest import HandlerEntry
from choreo.outcome import START, SUCCEEDED
from choreo.protocol import Trigger
from choreo.verify.analysis.courses import Course, Courses

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
        self._possible: dict[str, frozenset[str]] = {}
        self._undone: dict[tuple[str, ...], bool] = {}
        self._exclusive: dict[str, int] = {}

    @cached_property
    def _courses(self) -> Courses:
        return Courses(self.graph, self.check)

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
            name: frozenset(each.name for each in self._courses.steps_of(bits))
            for name, bits in self._after.items()
        }

    @cached_property
    def _after(self) -> dict[str, int]:
        """The bits of the steps that the success of each step leads to."""
        return self._courses.led_to({step.name: step.successes for step in self.graph.steps.values()})

    @cached_property
    def _surely_after(self) -> dict[str, int]:
        """The bits of the steps that each step is surely before."""
        return {name: bits & ~self._without(name).steps for name, bits in self._after.items()}

    @cached_property
    def _surely_before(self) -> dict[str, int]:
        """The bits of the steps that are surely before each step."""
        bits = self._courses.step_bits
        return {
            name: self._courses.steps(each for each, after in self._surely_after.items() if after & bit)
            for name, bit in bits.items()
        }

    def surely_before(self, step: Step) -> list[Step]:
        """Return the steps after whose success alone this one is triggered."""
        return self._courses.steps_of(self._surely_before[step.name])

    def beside(self, step: Step) -> Iterator[Step]:
        """Return the steps that may run in parallel with this one, and whose outcome it doesn't wait for.

        A step that precedes it on one way only (``A | B``) is beside it, too: the other way may be taken.
        """
        self.check()
        own = self._courses.step_bits[step.name]
        others = self._triggered & ~(own | self._after[step.name] | self._surely_before[step.name])
        for other in self._courses.steps_of(others):
            if not self._exclusive_with(other) & own:
                yield other

    @cached_property
    def _triggered(self) -> int:
        return self._courses.steps(step.name for step in self._courses.in_order)

    def is_surely_before(self, one: Step, other: Step) -> bool:
        """Whether the second step is only ever triggered after the success of the first."""
        return bool(self._surely_after[one.name] & self._courses.step_bits[other.name])

    def may_be_undone(self, *successes: str) -> bool:
        """Whether a failure, timeout or cancellation can still come after all of these success events."""
        if successes not in self._undone:
            steps = [self.graph.outcome[success][0] for success in successes]
            failures = (name for success in successes for name in self.first_failures(success, steps))
            self._undone[successes] = any(True for _ in failures)
        return self._undone[successes]

    def first_failures(self, success: str, settled: Sequence[str] = ()) -> Iterator[str]:
        """Return the events that may begin a rollback after a success; steps ``settled`` have succeeded."""
        step = self.graph.steps[self.graph.outcome[success][0]]
        after = self._courses.steps_of(self._courses.next_steps((success,), self._after))
        for each in (*sorted(after, key=lambda step: step.name), *self.beside(step)):
            if each.name not in settled:
                yield from each.failures
        for deadline in self.graph.deadlines:
            if deadline.step != step.name and self.may_pass(deadline, step, success):
                yield from deadline.emits.successes

    def possible(self, success: str) -> frozenset[str]:
        """Return the events that can come in a saga in which a success event comes."""
        if success not in self._possible:
            self._possible[success] = self._possible_with(success)
        return self._possible[success]

    def _possible_with(self, success: str) -> frozenset[str]:
        courses = self._courses
        step = self.graph.steps[self.graph.outcome[success][0]]
        own = {step.name: success} if len(step.successes) > 1 else {}
        chosen = ({**way, **own} for ways in self._ways for way in ways if self._comes(step, way))
        come, most = 0, courses.course(own).events
        for way in chosen:
            come |= courses.course(way).events
            if come == most:
                break
        come = come or most
        late = [each for each in self.graph.deadlines if not self.may_pass(each, step, success)]
        never = courses.events(name for deadline in late for name in deadline.emits.successes)
        for each in (step, *self.surely_before(step)):
            never |= courses.events(each.failures)
        return courses.names(come & ~never)

    def may_pass(self, deadline: HandlerEntry, step: Step, success: str = "") -> bool:
        """Whether a deadline may still pass when a step has succeeded, on a way not taken, too.

        With a ``success``, the step has succeeded with that event.
        """
        self.check()
        watched = self.graph.steps.get(deadline.step)
        if watched is None or self.is_surely_before(watched, step) or not self.is_armed(deadline):
            return False
        own = {step.name: success} if success else {}
        ways = ({**way, **own, watched.name: ""} for some in self._ways for way in some)
        return any(
            self._comes(step, way) and self._arms(deadline, self._courses.course(way).events) for way in ways
        )

    def is_armed(self, deadline: HandlerEntry) -> bool:
        """Whether a deadline can be armed: before the saga fails or ends, and its step has an outcome."""
        return self._arms(deadline, self._without(deadline.step).events)

    def _arms(self, deadline: HandlerEntry, events: int) -> bool:
        return self._courses.satisfies(events & self._arming, deadline.trigger)

    @cached_property
    def _arming(self) -> int:
        """The bits of the events after which a deadline can be armed: a saga goes on after them."""
        contract = self.graph.contract
        successes = {name for name, (_, outcome) in self.graph.outcome.items() if outcome == SUCCEEDED}
        return self._courses.events(successes - {contract.completes, contract.fails})

    def comes_without(self, step: Step, trigger: Trigger) -> bool:
        """Whether a trigger can be met when a step never has an outcome."""
        ended = self._courses.events((*step.failures, *step.answers))
        return self._courses.satisfies(self._without(step.name).events & ~ended, trigger)

    def is_called_without(self, step: Step, others: Iterable[str]) -> bool:
        """Whether a step can be called when none of the others ever succeeds."""
        course = self._courses.course(dict.fromkeys(others, ""))
        return bool(course.steps & self._courses.step_bits[step.name])

    def _without(self, name: str) -> Course:
        """Return what can still come when a step never succeeds."""
        return self._courses.course({name: ""})

    def _comes(self, step: Step, chosen: Mapping[str, str]) -> bool:
        return self._courses.comes(step.name, chosen)

    def are_exclusive(self, one: Step, other: Step) -> bool:
        """Whether no way leads both to the first step and, without it, to the second."""
        self.check()
        return bool(self._exclusive_with(one) & self._courses.step_bits[other.name])

    def _exclusive_with(self, step: Step) -> int:
        """Return the bits of the steps to which no way that leads to this step leads without it."""
        if step.name not in self._exclusive:
            self._exclusive[step.name] = 0
            for ways in self._ways if self._choices else ():
                apart = [way for way in ways if not self._comes(step, way)]
                together = [way for way in ways if self._comes(step, way)]
                if apart:
                    others = self._steps_without(step, apart) & ~self._steps_without(step, together)
                    self._exclusive[step.name] |= others
        return self._exclusive[step.name]

    def _steps_without(self, step: Step, ways: Ways) -> int:
        """Return the bits of the steps to which some of these ways lead when a step never succeeds."""
        own, found = self._courses.events(step.successes), 0
        for way in ways:
            comes = self._courses.course(way).events & own
            found |= self._courses.course({**way, step.name: ""} if comes else way).steps
        return found

    def may_be_refused_beside(self, one: Step, other: Step) -> bool:
        """Whether the first step, such as a join, can be refused where a choice leads to the second."""
        failures = self._courses.events(one.failures)
        return all(
            any(
                self._courses.course(way).events & failures and self._comes(other, {**way, one.name: ""})
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
