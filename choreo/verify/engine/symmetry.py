"""Branches that are alike: where two of them change places, nothing but names is another.

So of states that differ in that alone one stands for all. What is found by them is found again without this,
so that each step is named that violates a property.

Source: Ip and Dill, *Better Verification Through Symmetry* (1996).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from choreo.protocol import Action, Compensation, Progress, Trigger
from choreo.verify.engine.model import Model

_Part = tuple[int, int, tuple[int, ...]]
"""A branch in a state: its steps, its events, and which of its steps are held up."""

_NOTHING = frozenset[str]()

LEAST = 4
"""Fewer branches that are alike are not worth looking for."""


class Branch(NamedTuple):
    """A branch: its steps and its events, in the order in which it is walked through from its first step."""

    steps: tuple[str, ...]
    events: tuple[str, ...]


def alike(model: Model) -> Iterator[list[Branch]]:
    """Return the branches of a saga that are alike, together; no step is in two of them."""
    taken: set[str] = set()
    for event, steps in model.graph.triggered.items():
        heads = [step.name for step in steps if step.trigger.types == {event}]
        while len(heads) >= LEAST:
            those, heads = _like(model, heads)
            if len(those) >= LEAST and taken.isdisjoint(name for each in those for name in each.steps):
                taken.update(name for each in those for name in each.steps)
                yield those


def _like(model: Model, heads: Sequence[str]) -> tuple[list[Branch], list[str]]:
    """Return the branches that are like that of the first step, and the first steps of the others."""
    first, *others = heads
    found: list[Branch] = []
    left = []
    for other in others:
        swap = _swap(model, first, other)
        if swap and (not found or found[0] == swap[0]) and _changes_names_alone(model, *swap):
            found += swap if not found else swap[1:]
        else:
            left.append(other)
    return found, left


def _swap(model: Model, first: str, other: str) -> tuple[Branch, Branch] | None:
    """Return the branches of two first steps, as far as they are apart, if they have one form."""
    graph, role = model.graph, model.role
    steps: dict[str, str] = {}
    events: dict[str, str] = {}
    waiting = [(first, other)]
    while waiting:
        one, two = waiting.pop(0)
        if steps.get(one) == two:
            continue
        if {one, two} - role.action.keys() or {one, two} & (steps.keys() | set(steps.values())):
            return None
        steps[one] = two
        outcomes = [_outcomes(model, name) for name in (one, two)]
        if [len(each) for each in outcomes[0]] != [len(each) for each in outcomes[1]]:
            return None
        for some, same in zip(*outcomes, strict=True):
            events.update(zip(some, same, strict=True))
        for success, like in zip(graph.steps[one].successes, graph.steps[two].successes, strict=True):
            after = [step.name for step in graph.triggered.get(success, ())]
            beside = [step.name for step in graph.triggered.get(like, ())]
            ahead = [name for name in after if name not in beside]
            there = [name for name in beside if name not in after]
            if len(ahead) != len(there):
                return None
            waiting += zip(ahead, there, strict=True)
    return Branch(tuple(steps), tuple(events)), Branch(tuple(steps.values()), tuple(events.values()))


def _outcomes(model: Model, name: str) -> tuple[tuple[str, ...], ...]:
    step, action = model.graph.steps[name], model.role.action[name]
    return step.successes, step.failures, tuple(each.answer for each in action.compensations)


def _changes_names_alone(model: Model, one: Branch, two: Branch) -> bool:
    """Whether the saga is the same one where two branches have changed places."""
    events = _exchanged(one.events, two.events)
    steps = _exchanged(one.steps, two.steps)
    contract = model.graph.contract
    ends = {contract.starts, contract.completes, contract.fails, contract.aborts}
    if len(events) < 2 * len(one.events) or not ends.isdisjoint(events):
        return False
    for deadline in model.role.deadlines:
        if deadline.of in steps or not events.keys().isdisjoint({deadline.answer, *deadline.after.types}):
            return False
    return all(
        _exchanged_in(action, steps, events) == model.role.action[steps.get(action.step, action.step)]
        for action in model.role.actions
    )


def _exchanged(some: Iterable[str], others: Iterable[str]) -> dict[str, str]:
    there = dict(zip(some, others, strict=True))
    return {**there, **{other: one for one, other in there.items()}}


def _exchanged_in(action: Action, steps: Mapping[str, str], events: Mapping[str, str]) -> Action:
    return action._replace(
        step=steps.get(action.step, action.step),
        trigger=_renamed(action.trigger, events),
        failure=events.get(action.failure, action.failure),
        compensations=tuple(
            Compensation(
                _renamed(each.trigger, events),
                events.get(each.answer, each.answer),
                frozenset(events.get(name, name) for name in each.results),
            )
            for each in action.compensations
        ),
    )


def _renamed(trigger: Trigger, events: Mapping[str, str]) -> Trigger:
    if events.keys().isdisjoint(trigger.types):
        return trigger
    return trigger.fold(
        lambda name: Trigger.of(events.get(name, name)),
        lambda parts: Trigger.any_of(*parts),
        lambda parts: Trigger.all_of(*parts),
    )


class Alike:
    """All groups of branches that are alike, and their place in the facts of a state.

    ``steps`` and ``events`` are those of all branches, in the order in which the facts have them: a byte for
    each step, a bit for each event.
    """

    def __init__(self, groups: Sequence[Sequence[Branch]]) -> None:
        self.steps = [name for group in groups for branch in group for name in branch.steps]
        self.events = [name for group in groups for branch in group for name in branch.events]
        self._groups = [(len(group), 8 * len(group[0].steps), len(group[0].events)) for group in groups]
        self._first: dict[str, str] = {}
        self._event: dict[str, str] = {}
        self._number: dict[str, tuple[int, int, int]] = {}
        self._parts: dict[_Part, _Part] = {}
        for at, group in enumerate(groups):
            for number, branch in enumerate(group):
                self._first.update(zip(branch.steps, group[0].steps, strict=True))
                self._event.update(zip(branch.events, group[0].events, strict=True))
                self._number.update({name: (at, number, n) for n, name in enumerate(branch.steps)})

    def first(self, step: str) -> str:
        """Return the step of the first branch that stands where a step does in its own."""
        return self._first.get(step, step)

    def progress(self, step: str, progress: Progress) -> Progress:
        """Return a step's progress as that of the first branch's step."""
        if step not in self._first:
            return progress
        result, failure = (self._event.get(each, each) for each in (progress.result, progress.failure))
        return progress._replace(result=result, failure=failure)

    def key(self, steps: int, events: int, held: frozenset[str]) -> Iterator[object]:
        """Return the facts of a state with each group's branches in one order, and what else is held up."""
        yield held.difference(self._number) or _NOTHING
        for at, (count, width, length) in enumerate(self._groups):
            some, few = (1 << width) - 1, (1 << length) - 1
            waiting: list[tuple[int, ...]] = [()] * count
            for name in held & self._number.keys():
                group, number, place = self._number[name]
                if group == at:
                    waiting[number] = tuple(sorted((*waiting[number], place)))
            parts: list[_Part] = []
            for each in waiting:
                part = (steps & some, events & few, each)
                parts.append(self._parts.setdefault(part, part))
                steps >>= width
                events >>= length
            parts.sort()
            yield tuple(parts)
        yield steps
        yield events
