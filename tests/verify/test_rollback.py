"""What the rules of rollback find by slots is what they would find by going through every combination."""

from __future__ import annotations

import random
from dataclasses import replace
from itertools import product

import pytest

from choreo.graph import choreography_of
from choreo.manifest import HandlerEntry, Manifest
from choreo.outcome import SUCCEEDED
from choreo.protocol import Trigger
from choreo.verify.analysis import rollback
from choreo.verify.analysis.order import Order
from choreo.verify.analysis.rollback import Declared, declared, early_call, missing_calls
from tests.protocol.triggers import alternatives
from tests.verify.growth import grow

Answers = frozenset[str]


def first_early(order: Order, each: Declared) -> bool:
    """Whether some combination of events calls a compensation too early."""
    outcome, possible = order.graph.outcome, order.possible(each.success)
    calls = [call for call in alternatives(each.undo.trigger) if call <= possible]
    if any(all(outcome[name][1] == SUCCEEDED for name in call) for call in calls):
        return True
    if not order.may_be_undone(each.success):
        return False
    if not each.undo.trigger:
        calls = [frozenset((name,)) for name in order.first_failures(each.success)]
    return any(rollback._open_successors(order, each, call) for call in calls)


def first_missing(order: Order, each: Declared) -> Answers | None:
    """Return the first combination of answers that can come and doesn't call a compensation."""
    known = order.graph.outcome.keys() | order.graph.imports
    trigger = each.undo.trigger
    if not trigger or not trigger.types <= known or not order.may_be_undone(each.success):
        return None
    further = [a for a in rollback._further_answers(order, each) if not trigger.types.isdisjoint(a)]
    answers = [(name,) for name in order.first_failures(each.success)]
    if not each.needs.is_leaf:
        answers = list(product(*(names for _, names in each.needs.answers)))
    found = (
        frozenset(call)
        for call in answers
        if not all(trigger.satisfied({*call, *more}) for more in product(*further))
        and (each.needs.is_leaf or may_come(order, each, call))
    )
    return min(found, key=sorted, default=None)


def may_come(order: Order, each: Declared, answers: tuple[str, ...]) -> bool:
    """Whether each answer can come in a saga with the success, and with each other one, and one failed."""
    undone = [name for name in answers if list(rollback._undone_by(order.graph, name))]
    watched = {deadline.step for deadline in order.graph.deadlines if order.is_armed(deadline)}
    freely = [name for name in undone if order.graph.outcome[name][0] not in watched]
    return (
        order.possible(each.success).issuperset(answers)
        and all(any(map(order.may_be_undone, rollback._undone_by(order.graph, name))) for name in freely)
        and rollback._come_together(order, answers)
        and rollback._bring_failure(order, each, answers)
    )


def spoilt(seed: int) -> list[Manifest]:
    """Return a random choreography in which some compensations have other triggers than they need."""
    chance = random.Random(seed)
    manifests = grow(seed, room=6)
    names = sorted(
        {name for each in manifests for handler in each.handlers for name in handler.emits.failures}
    )

    def other(handler: HandlerEntry) -> HandlerEntry:
        if handler.task != "compensation" or chance.random() < 0.3 or not handler.trigger:
            return handler
        options = list(alternatives(handler.trigger))
        kept = [option for option in options if chance.random() < 0.8]
        more = [
            frozenset(chance.sample(names, min(len(names), chance.randint(1, 2))))
            for _ in range(chance.randrange(3))
        ]
        return replace(handler, derived=False, trigger=Trigger.of_alternatives([*kept, *more] or options))

    return [replace(each, handlers=tuple(map(other, each.handlers))) for each in manifests]


@pytest.mark.parametrize("block", range(4))
def test_the_same_calls_are_early_and_the_same_are_missing(block: int) -> None:
    found = {"early": 0, "missing": 0, "neither": 0}
    for seed in range(block * 30, block * 30 + 30):
        (graph,) = choreography_of(spoilt(seed)).sagas
        order = Order(graph)
        for each in declared(order):
            early, missing = early_call(order, each), missing_calls(order, each)
            assert bool(early) == first_early(order, each), (seed, each.undo.name)
            assert min(missing, key=sorted, default=None) == first_missing(order, each), (
                seed,
                each.undo.name,
            )
            found["early" if early else "missing" if missing else "neither"] += 1
    assert all(found.values())
