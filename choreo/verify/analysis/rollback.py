"""Compares the events that call each compensation with the reverse edges (rule R7).

It finds calls that come too early, and calls that are missing.

The comparison is exact, not only strict: a declared trigger that is no reverse edge is wrong only where a
later step may still be done when it comes, and a reverse edge that is not declared is missing only where
its answers can come in one saga.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
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
    outcome, trigger = order.graph.outcome, each.undo.trigger
    possible = trigger.types & order.possible(each.success)
    call = trigger.alternative({name for name in possible if outcome[name][1] == SUCCEEDED})
    if call:
        return call, _open_successors(order, each, call)
    if not order.may_be_undone(each.success):
        return None
    for call in (
        _calls_before(order, each, possible) if trigger else map(_alone, order.first_failures(each.success))
    ):
        order.check()
        still_open = _open_successors(order, each, call)
        if still_open:
            return call, still_open
    return None


def _calls_before(order: Order, each: Declared, possible: frozenset[str]) -> Iterator[Answers]:
    """Return, for each successor, events that call a compensation while that one may still be done."""
    for step, answers in each.needs.answers:
        order.check()
        ended = {*answers, *timeouts(order.graph, step)}
        call = each.undo.trigger.alternative(
            {name for name in possible - ended if not _settles(order, name, step)}
        )
        if call:
            yield call


def missing_calls(order: Order, each: Declared) -> list[Answers]:
    """Return the answers, one of each successor, that can come in one saga and don't call a compensation."""
    known = order.graph.outcome.keys() | order.graph.imports
    named = each.undo.trigger.types
    if not named or not named <= known or not order.may_be_undone(each.success):
        return []
    if each.needs.is_leaf:
        alone = map(_alone, sorted(set(order.first_failures(each.success))))
        return [call for call in alone if not each.undo.trigger.satisfied(call)]
    ends = [sorted(name for name in names if _may_come(order, name)) for _, names in each.needs.answers]
    further = [names for names in _further_answers(order, each) if not named.isdisjoint(names)]

    def may_all_stay_out(events: frozenset[str]) -> bool:
        order.check()
        return all(not events.issuperset(names) for names in (*ends, *further))

    clauses = each.undo.trigger.clauses(may_all_stay_out)
    others = ([[name for name in names if name not in clause] for names in ends] for clause in clauses)
    return [answers for ends in others for answers in _first_to_come(order, ends)]


def _alone(name: str) -> Answers:
    return frozenset((name,))


def _open_successors(order: Order, each: Declared, call: Answers) -> list[Step]:
    """Return the successors that may still be done when these events have come.

    A successor behind a step that failed or is compensated can't be: it was never triggered, or is
    compensated already. A timeout of a successor counts as its answer where the trigger names it: that is
    checked by rule CHO211.
    """
    graph = order.graph
    return [
        step
        for step, answers in each.needs.answers
        if call.isdisjoint({*answers, *(timeouts(graph, step) if each.undo.trigger else ())})
        and not any(_settles(order, name, step) for name in call)
    ]


def _settles(order: Order, event: str, step: Step) -> bool:
    """Whether a step can't be done once this event, an answer of another one, has come."""
    return order.graph.outcome[event][1] != SUCCEEDED and _rules_out(order, event, step)


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
    before = order.surely_before(each.step)
    sure = [*graph.imports, *(step.successes[0] for step in before if len(step.successes) == 1)]
    for step in {after.name: after for success in sure for after in graph.successors(success)}.values():
        if step.name not in known and each.step.name not in order.after[step.name]:
            yield (*step.failures, *step.answers)


def _first_to_come(order: Order, ends: Sequence[Sequence[str]]) -> Iterator[Answers]:
    """Return the first answers, one of each list, that can come in one saga: something must have failed."""
    steps = [order.graph.outcome[names[0]][0] for names in ends]
    first = [names[0] for names in ends]
    if any(_brings_failure(order, name, steps) for name in first):
        yield frozenset(first)
        return
    others = (
        frozenset((*first[:at], name, *first[at + 1 :]))
        for at, names in enumerate(ends)
        for name in names
        if _brings_failure(order, name, steps)
    )
    yield from sorted(others, key=sorted)[:1]


def _may_come(order: Order, answer: str) -> bool:
    """Whether an answer is a failure, or that of a step which a failure or a deadline can undo."""
    undone = [*_undone_by(order.graph, answer)]
    return not undone or _is_watched(order.graph, answer) or any(map(order.may_be_undone, undone))


def _brings_failure(order: Order, answer: str, settled: Sequence[str]) -> bool:
    """Whether something has failed where this answer comes: its step, or one that is not settled."""
    undone = [success for success in _undone_by(order.graph, answer) if order.may_be_undone(success)]
    if not undone or _is_watched(order.graph, answer):
        return True
    return any(True for success in undone for _ in order.first_failures(success, settled))


def _is_watched(graph: SagaGraph, answer: str) -> bool:
    step, _ = graph.outcome[answer]
    return any(deadline.step == step for deadline in graph.deadlines)


def _undone_by(graph: SagaGraph, answer: str) -> Iterator[str]:
    """Return the success events that an answer confirms as compensated; none for a failure."""
    step = graph.steps[graph.outcome[answer][0]]
    for success in step.successes:
        undo = step.compensation_for(success)
        if undo and answer in undo.emits.successes:
            yield success
