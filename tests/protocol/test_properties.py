"""Properties of the protocol over random sagas and random histories."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from dataclasses import replace
from itertools import count
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from choreo.outcome import PIVOT, RETRIABLE
from choreo.protocol import (
    Begin,
    Buried,
    Deferred,
    Discarded,
    Due,
    Ended,
    Input,
    Instance,
    Requeued,
    Role,
    Trigger,
    fold,
)

from .explore import Budget, Machine, walk
from .sagas import CANCELLED, COMPLETES, FAILS, STARTED, Saga, Step, step

FUZZ = bool(os.environ.get("CHOREO_FUZZ"))
"""Set ``CHOREO_FUZZ=1`` for a hundred times as many examples, and other ones each time."""

thorough = settings(
    max_examples=20_000 if FUZZ else 200,
    derandomize=not FUZZ,
    database=None,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)


class Grower:
    """Grows a saga from blocks: a step, a sequence, a fork with its join, a choice with its merge."""

    def __init__(self, draw: Any) -> None:
        self.draw, self.steps = draw, []  # type: ignore[var-annotated]
        self.names: Iterator[str] = (f"S{number}" for number in count(1))

    def add(self, on: Trigger, *results: str, kind: Any = "compensatable") -> tuple[Trigger, ...]:
        made = step(next(self.names), on, *results, kind=kind)
        self.steps.append(replace(made, partial=made.kind == "compensatable" and self.draw(st.booleans())))
        return tuple(Trigger.of(result) for result in made.results)

    def block(self, on: Trigger, room: int) -> Trigger:
        """Grow a block of at most ``room`` steps; give the condition that it is through."""
        forms = ["step", "sequence", "fork", "leaf", "choice", "bypass"]
        form = self.draw(st.sampled_from(forms if room > 2 else forms[:1]))
        half = room // 2
        if form == "sequence":
            return self.block(self.block(on, half), room - half)
        if form == "fork":
            return Trigger.all_of(self.block(on, half), self.block(on, room - half))
        if form == "leaf":
            self.block(on, 1)
            return self.block(on, room - 1)
        if form in ("choice", "bypass"):
            name = f"S{len(self.steps) + 1}"
            one, two = self.add(on, f"{name}A", f"{name}B")
            first = self.block(one, (room - 1) // 2)
            return Trigger.any_of(first, two if form == "bypass" else self.block(two, (room - 1) // 2))
        return self.add(on)[0]


def dead_ends(steps: list[Step]) -> set[str]:
    used = {name for each in steps for name in each.on.types}
    return {each.name for each in steps if not used & set(each.results)}


@st.composite
def sagas(draw: Any) -> Saga:
    """Any saga of up to seven steps, with at most two deadlines."""
    grower = Grower(draw)
    through = grower.block(Trigger.of(STARTED), draw(st.integers(1, 5)))
    tail = draw(st.sampled_from(["plain", "pivot", "pivot and retriable", "retriable"]))
    grown = list(grower.steps)
    grower.add(through, COMPLETES)
    if dead_ends(grower.steps) - {grower.steps[-1].name}:
        tail = "plain"  # a leaf may fail beside what comes last, so nothing there may be final
    last: Step = grower.steps.pop()
    if tail == "plain":
        steps = [*grown, last]
    elif tail == "pivot":
        steps = [*grown, replace(last, kind=PIVOT, partial=False)]
    elif tail == "retriable":
        steps = [*grown, replace(last, kind=RETRIABLE, partial=False)]
    else:
        pivot = step("P", through, kind=PIVOT)
        steps = [*grown, pivot, step("R", "PDone", COMPLETES, kind=RETRIABLE)]
    return draw(with_watches(Saga("random", tuple(steps)), final=tail != "plain"))


@st.composite
def with_watches(draw: Any, saga: Saga, final: bool) -> Saga:
    """Add deadlines; none far where it might fire after the point of no return."""
    names = [each.name for each in saga.steps if each.kind == "compensatable"]
    if not names:
        return saga
    far = st.booleans() if not final else st.just(False)
    for name, is_far in draw(st.lists(st.tuples(st.sampled_from(names), far), max_size=2, unique=True)):
        saga = saga.with_watch(name, is_far)
    return saga


budgets = st.builds(
    Budget,
    failures=st.integers(0, 2),
    deadlines=st.integers(0, 2),
    cancellations=st.integers(0, 1),
    pauses=st.integers(0, 2),
    dead_letters=st.integers(0, 1),
    repeats=st.integers(0, 2),
)
chances = st.integers(0, 2**32).map(random.Random)


@st.composite
def histories(draw: Any) -> tuple[Role, list[Input]]:
    """Anything to be folded by anybody in any order: sense is not asked for."""
    saga = draw(sagas())
    role = draw(st.sampled_from(saga.roles))
    item = st.one_of(st.sampled_from(list(saga.events.values())), commands(role))
    return role, draw(st.lists(item, max_size=25))


def commands(role: Role) -> st.SearchStrategy[Input]:
    possible: list[Input] = [Due(name) for name in role.deadline]
    for action in role.actions:
        name = action.step
        results = {STARTED} if not action.trigger else {f"{name}Done"}
        possible += [Begin(name), Begin(name, True), Deferred(name), Buried(name), Requeued(name)]
        possible += [Discarded(name), *(Ended(name, "succeeded", result) for result in results)]
        possible += [Ended(name, "failed", action.failure, how) for how in ("returned", "raised")]
        possible += [Ended(name, "compensated", undo.answer) for undo in action.compensations]
    return st.sampled_from(possible)


def folded(role: Role, inputs: list[Input]) -> Instance:
    saga = Instance()
    for item in inputs:
        saga, _ = fold(role, saga, item)
    return saga


@thorough
@given(histories())
def test_fold_is_pure(history: tuple[Role, list[Input]]) -> None:
    """It changes nothing that it is given, and says the same thing twice."""
    role, inputs = history
    saga = Instance()
    for item in inputs:
        before = saga.key()
        once, twice = fold(role, saga, item), fold(role, saga, item)
        assert saga.key() == before
        assert once == twice
        saga = once[0]


@thorough
@given(histories())
def test_an_event_folded_again_changes_nothing(history: tuple[Role, list[Input]]) -> None:
    """At once or at the end: once is all that counts."""
    role, inputs = history
    events = {item for item in inputs if not isinstance(item, Begin) and hasattr(item, "saga_id")}
    saga = folded(role, inputs)
    for event in events:
        again, decisions = fold(role, saga, event)
        assert again == saga
        assert [type(each).__name__ for each in decisions] == ["Ignored"]


@thorough
@given(sagas(), st.data())
def test_all_who_read_the_same_log_agree(saga: Saga, data: st.DataObject) -> None:
    """Onlookers: whoever folds the same events knows the same outcomes, the same abort, the same end."""
    log = data.draw(st.lists(st.sampled_from(sorted(saga.events)), max_size=20))
    contract = saga.contract
    onlookers = [Role(name, contract) for name in ("one", "two")]
    owners = [role for role in saga.roles if not owned(role) & {saga.events[name].step for name in log}]
    views = {
        (seen.end, seen.state, seen.aborted, frozenset(seen.outcomes.items()), frozenset(seen.compensated))
        for seen in (folded(role, [saga.events[name] for name in log]) for role in (*onlookers, *owners))
    }
    assert len(views) == 1


def owned(role: Role) -> set[str]:
    return {action.step for action in role.actions} | {"start"}


@thorough
@given(sagas(), budgets, chances, st.booleans())
def test_a_random_walk_of_a_random_saga_ends_well(
    saga: Saga, budget: Budget, chance: random.Random, outside: bool
) -> None:
    """Every check of the explorer holds, on any path of any saga."""
    world = walk(Machine(saga, outside=outside, reduce=False), budget, chance)
    assert {COMPLETES, FAILS} & set(world.log)
    assert world.log.count(CANCELLED) <= 1


@thorough
@given(sagas(), budgets, chances)
def test_what_is_known_is_rebuilt_from_what_was_folded(
    saga: Saga, budget: Budget, chance: random.Random
) -> None:
    """Each participant's inputs, folded from nothing, give its live state."""
    machine = Machine(saga, outside=True, reduce=False)
    world = walk(machine, budget, chance)
    for place, role in enumerate(machine.roles):
        inputs = [item for folded_by, item in machine.journal if folded_by == place]
        assert folded(role, inputs) == machine.knows(world, place)


@thorough
@given(sagas(), budgets, chances)
def test_a_step_that_begins_again_after_a_restart_is_the_same(
    saga: Saga, budget: Budget, chance: random.Random
) -> None:
    """What was running at a crash runs again; that it did so is counted, and nothing else changes."""
    machine = Machine(saga, outside=True, reduce=False)
    world = machine.start(budget)
    while moves := machine.moves(world):
        world = machine.make(world, chance.choice(moves))
        for place, member in enumerate(world.members):
            for task, name in member.running:
                after, decisions = machine.fold(place, member.instance, Begin(name))
                known = machine.instances[member.instance]
                begun = machine.instances[after].copy()
                counts = known.step(name).state != "compensating"
                assert begun.step(name).attempt == known.step(name).attempt + counts
                begun.steps[name] = known.step(name)
                assert begun == known
                assert [tuple(decision) for decision in decisions] == [(task, name)]
