"""``Courses``: what can come of a saga where some of its steps succeed with one event only, or never.

A large saga has thousands of courses, each of hundreds of events. So sets of events, and of steps, are
integers here: a bit for each.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cached_property
from typing import NamedTuple

from choreo.graph import SagaGraph, Step
from choreo.protocol import Trigger


class Course(NamedTuple):
    """The events that can come, and the steps whose triggers these satisfy; a step without one is begun."""

    events: int
    steps: int


class _Condition(NamedTuple):
    """A trigger whose event types are bits: of each slot, its types and its joins."""

    slots: tuple[tuple[int, tuple[_Condition, ...]], ...]

    def is_met(self, events: int) -> bool:
        for types, joins in self.slots:
            if not types & events and not (joins and any(join.is_met(events) for join in joins)):
                return False
        return bool(self.slots)


class _Calling(NamedTuple):
    """A step with a trigger: what it may emit where an event of it has come, and where it is called.

    ``types`` are the events in its trigger, any one of which calls it where that is no ``join``.
    """

    step: int
    types: int
    join: _Condition | None
    refused: int
    called: int


class Courses:
    """The courses of one saga; ``check`` is called for each, and raises where there is no more time."""

    def __init__(self, graph: SagaGraph, check: Callable[[], None]) -> None:
        self._graph = graph
        self._check = check
        self._bits: dict[str, int] = {}
        self._conditions: dict[Trigger, _Condition] = {}
        self._known: dict[int, Course] = {}
        self.step_bits = {name: 1 << at for at, name in enumerate(graph.steps)}
        self._steps = tuple(graph.steps.values())
        self._begun = self.steps(step.name for step in graph.steps.values() if not step.trigger)
        late = (name for deadline in graph.deadlines for name in deadline.emits.successes)
        self._first = self.events((graph.contract.starts, graph.contract.aborts, *graph.imports, *late))
        self.in_order = tuple(self._in_order())
        self._calling = tuple(map(self._called_by, self.in_order))

    def events(self, names: Iterable[str]) -> int:
        """Return the bits of some events."""
        found = 0
        for name in names:
            found |= self._bits.setdefault(name, 1 << len(self._bits))
        return found

    def names(self, events: int) -> frozenset[str]:
        """Return the events that these bits stand for."""
        known = list(self._bits)
        return frozenset(known[at] for at in _places(events))

    def steps(self, names: Iterable[str]) -> int:
        """Return the bits of some steps."""
        found = 0
        for name in names:
            found |= self.step_bits[name]
        return found

    def steps_of(self, bits: int) -> list[Step]:
        """Return the steps that these bits stand for, in the order of the graph."""
        return [self._steps[at] for at in _places(bits)]

    def satisfies(self, events: int, trigger: Trigger) -> bool:
        """Whether these events satisfy a trigger."""
        return self._condition(trigger).is_met(events)

    def course(self, chosen: Mapping[str, str]) -> Course:
        """Return what comes where each of these steps succeeds with this event only, or never (with "").

        A half-filled join can only be refused.
        """
        never = 0
        for step, kept in chosen.items():
            never |= self._without(step, kept)
        if never not in self._known:
            self._known[never] = self._course(never)
        return self._known[never]

    def comes(self, step: str, chosen: Mapping[str, str]) -> bool:
        """Whether a step is called on a course; what doesn't lead to the step makes no difference."""
        bit = self.step_bits[step]
        chosen = {name: kept for name, kept in chosen.items() if self._decides_on[name] & bit}
        return bool(self.course(chosen).steps & bit)

    @cached_property
    def _decides_on(self) -> dict[str, int]:
        """The bits of the steps that are called, or not, depending on how each step succeeds."""
        graph = self._graph
        outcomes = {
            name: (*step.successes, *step.failures, *step.answers) for name, step in graph.steps.items()
        }
        later = self.led_to(outcomes)
        return {name: self.next_steps(step.successes, later) for name, step in graph.steps.items()}

    def led_to(self, events: Mapping[str, Iterable[str]]) -> dict[str, int]:
        """Return the bits of the steps that each step leads to, if it leads on by these of its events."""
        found = dict.fromkeys(self._graph.steps, 0)
        names = [
            *(step.name for step in reversed(self.in_order)),
            *(each.name for each in self.steps_of(self._begun)),
        ]
        before: dict[str, int] = {}
        while before != found:
            self._check()
            before = dict(found)
            for name in names:
                found[name] = self.next_steps(events[name], found)
        return found

    def next_steps(self, events: Iterable[str], later: Mapping[str, int]) -> int:
        """Return the bits of the steps that some events call, and of those to which these lead later."""
        found = 0
        for event in events:
            for step in self._graph.triggered.get(event, ()):
                found |= self.step_bits[step.name] | later[step.name]
        return found

    def _without(self, step: str, kept: str) -> int:
        """Return the bits of the success events of a step other than the one that is kept."""
        return self.events(name for name in self._graph.steps[step].successes if name != kept)

    def _course(self, never: int) -> Course:
        self._check()
        kept = ~never
        come, steps = self._first & kept, self._begun
        waiting: Iterable[_Calling] = self._calling
        before = -1
        while come != before:
            before, left = come, list[_Calling]()
            for each in waiting:
                if each.types & come and (each.join is None or each.join.is_met(come)):
                    steps |= each.step
                    come |= each.called & kept
                else:
                    left.append(each)
                    if each.types & come:
                        come |= each.refused & kept
            waiting = left
        return Course(come, steps)

    def _in_order(self) -> Iterator[Step]:
        """Return the steps with a trigger, each behind those that call it, so far as they have an order."""
        contract, triggered = self._graph.contract, self._graph.triggered
        waiting = deque((contract.starts, contract.aborts, *sorted(self._graph.imports)))
        come, placed = set(waiting), set[str]()
        while waiting:
            for step in triggered.get(waiting.popleft(), ()):
                if step.name not in placed and step.trigger.satisfied(come):
                    placed.add(step.name)
                    yield step
                    new = set(step.successes) - come
                    come |= new
                    waiting += sorted(new)
        yield from (step for step in self._graph.steps.values() if step.trigger and step.name not in placed)

    def _called_by(self, step: Step) -> _Calling:
        """Return a step as it is looked at for each course."""
        refused = self.events(step.failures)
        called = refused | self.events((*step.successes, *step.answers))
        join = self._condition(step.trigger) if step.trigger.is_join else None
        return _Calling(self.step_bits[step.name], self.events(step.trigger.types), join, refused, called)

    def _condition(self, trigger: Trigger) -> _Condition:
        if trigger not in self._conditions:
            slots = tuple(
                (self.events(types), tuple(map(self._condition, joins))) for types, joins in trigger.slots
            )
            self._conditions[trigger] = _Condition(slots)
        return self._conditions[trigger]


def _places(bits: int) -> Iterator[int]:
    """Return the places of the bits that are set, the lowest first."""
    while bits:
        lowest = bits & -bits
        yield lowest.bit_length() - 1
        bits -= lowest
