"""Compares the events that call each compensation with the reverse edges (rule R7).

It finds calls that come too early, and calls that are missing.

The comparison is exact, not only strict: a declared trigger that is no reverse edge is wrong only where a
later step may still be done when it comes, and a reverse edge that is not declared is missing only where
its answers can come in one saga.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import product
from typing import NamedTuple

from choreo.graph import RequiredTrigger, SagaGraph, Step, required_trigger
from choreo.manifest import HandlerEntry
from choreo.outcome import FAILED, SUCCEEDED
from choreo.verify.analysis.order import Order

Answers = frozenset[str]
"""Events which say that steps failed or are compensated."""


class Declared(NamedTuple):
    """A compensation of one success event: the step, the handler, and the reverse edges."""

    step: Step
    success: str
    undo: HandlerEntry
    needs: RequiredTrigger


def declared(order: Order) -> Iterator[Declared]:
    """Return every declared compensation of every success event that can come.

    Derived triggers are left out: they are the reverse edges.
    """
    for step in order.graph.steps.values():
        if not step.is_undone:
            continue
        order.check()
        for success in step.successes:
            undo = step.compensation_for(success)
            if undo and not undo.derived and success in order.reachable:
                yield Declared(step, success, undo, required_trigger(order.graph, success))


def timeouts(graph: SagaGraph, step: Step) -> frozenset[str]:
    """Return the timeout events of a step."""
    watching = (deadline for deadline in graph.deadlines if deadline.step == step.name)
    return frozenset(name for deadline in watching for name in deadline.emits.successes)


def early_call(order: Order, each: Declared) -> tuple[Answers, list[Step]] | None:
    """Return events that call a compensation too early, and the steps that may still be done or undone then.

    The steps are empty where none of the events is a failure.
    """
    outcome, possible = order.graph.outcome, order.possible(each.success)
    calls = [call for call in each.undo.trigger if call <= possible]
    for call in calls:
        if all(outcome[name][1] == SUCCEEDED for name in call):
            return call, _open_successors(order, each, call)
    if not order.may_be_undone(each.success):
        return None
    for call in calls if each.undo.trigger else map(_alone, order.first_failures(each.success)):
        order.check()
        still_open = _open_successors(order, each, call)
        if still_open:
            return call, still_open
    return None


def missing_calls(order: Order, each: Declared) -> list[Answers]:
    """Return the answers, one of each successor, that can come in one saga and don't call a compensation."""
    known = order.graph.outcome.keys() | order.graph.imports
    named = frozenset().union(*each.undo.trigger)
    if not named or not named <= known or not order.may_be_undone(each.success):
        return []
    if each.needs.is_leaf:
        alone = map(_alone, sorted(set(order.first_failures(each.success))))
        return [call for call in alone if not _calls(each.undo, call)]
    options = frozenset(each.undo.trigger)
    further = [answers for answers in _further_answers(order, each) if not named.isdisjoint(answers)]
    return [
        answers
        for answers in each.needs.alternatives
        if answers not in options
        and not all(_calls(each.undo, answers.union(more)) for more in _checked(order, product(*further)))
        and _may_come(order, answers)
    ]


def _alone(name: str) -> Answers:
    return frozenset((name,))


def _calls(undo: HandlerEntry, answers: Answers) -> bool:
    return any(option <= answers for option in undo.trigger)


def _open_successors(order: Order, each: Declared, call: Answers) -> list[Step]:
    """Return the successors that may still be done when these events have come.

    A successor behind a step that failed or is compensated can't be: it was never triggered, or is
    compensated already. A timeout of a successor counts as its answer where the trigger names it: that is
    checked by rule CHO211.
    """
    graph = order.graph
    settled = [name for name in call if graph.outcome[name][1] != SUCCEEDED]
    return [
        step
        for step, answers in each.needs.answers
        if call.isdisjoint({*answers, *(timeouts(graph, step) if each.undo.trigger else ())})
        and not any(_rules_out(order, name, step) for name in settled)
    ]


def _rules_out(order: Order, answer: str, other: Step) -> bool:
    """Whether the second step can't be done once the first has published this answer.

    The refusal of a join doesn't show which way was taken: one of its slots may be filled on any way.
    """
    name, outcome = order.graph.outcome[answer]
    settled = order.graph.steps[name]
    if order.is_surely_before(settled, other):
        return True
    if outcome == FAILED and order.may_be_refused_beside(settled, other):
        return False
    return order.are_exclusive(settled, other)


def _further_answers(order: Order, each: Declared) -> Iterator[tuple[str, ...]]:
    """Return the answers of steps besides the successors: those that an event before the step triggers."""
    graph = order.graph
    known = {each.step.name, *(step.name for step, _ in each.needs.answers)}
    before = [step for step in graph.steps.values() if order.is_surely_before(step, each.step)]
    sure = [*graph.imports, *(step.successes[0] for step in before if len(step.successes) == 1)]
    for step in dict.fromkeys(after for success in sure for after in graph.successors(success)):
        if step.name not in known and each.step.name not in order.after[step.name]:
            yield (*step.failures, *step.answers)


def _may_come(order: Order, answers: Answers) -> bool:
    """Whether these answers can come in one saga: a compensation among them needs a failure elsewhere."""
    undone = [list(_undone_by(order.graph, name)) for name in sorted(answers)]
    ways = _checked(order, product(*filter(None, undone)))
    return any(_may_all_be_undone(order, way, all(undone)) for way in ways)


def _checked(order: Order, combinations: Iterable[tuple[str, ...]]) -> Iterator[tuple[str, ...]]:
    """Return combinations, as long as there is time: there may be very many."""
    for each in combinations:
        order.check()
        yield each


def _may_all_be_undone(order: Order, successes: tuple[str, ...], nothing_failed: bool) -> bool:
    watched = {deadline.step for deadline in order.graph.deadlines}
    freely = [success for success in successes if order.graph.outcome[success][0] not in watched]
    if len(freely) == len(successes) and nothing_failed and not order.may_be_undone(*freely):
        return False
    return all(map(order.may_be_undone, freely))


def _undone_by(graph: SagaGraph, answer: str) -> Iterator[str]:
    """Return the success events that an answer confirms as compensated; none for a failure."""
    step = graph.steps[graph.outcome[answer][0]]
    for success in step.successes:
        undo = step.compensation_for(success)
        if undo and answer in undo.emits.successes:
            yield success
