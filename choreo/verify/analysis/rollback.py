"""Compares the events that call each compensation with the reverse edges (rule R7).

It finds calls that come too early, and calls that are missing.

The comparison is exact, not only strict: a declared trigger that is no reverse edge is wrong only where a
later step may still be done when it comes, and a reverse edge that is not declared is missing only where
its answers can come in one saga.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain, islice
from typing import NamedTuple

from choreo.graph import RequiredTrigger, SagaGraph, Step, required_trigger
from choreo.manifest import HandlerEntry
from choreo.outcome import FAILED, SUCCEEDED
from choreo.protocol import Trigger
from choreo.verify.analysis.order import Order

Answers = frozenset[str]
"""Events which say that steps failed or are compensated."""

_MOST_CALLS = 64
"""Of a trigger with more alternatives only the shortest is looked at, of answers only so many together."""


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
    trigger = each.undo.trigger
    for step, answers in each.needs.answers:
        order.check()
        ended = {*answers, *timeouts(order.graph, step)}
        among = {name for name in possible - ended if not _settles(order, name, step)}
        call = trigger.alternative(among)
        if call and not _is_called_after(order, call, step):
            yield from (call for call in trigger.alternatives(_MOST_CALLS) or () if call <= among)
        elif call:
            yield call


def missing_calls(order: Order, each: Declared) -> list[Answers]:
    """Return the answers, one of each successor, that can come in one saga and don't call a compensation."""
    known = order.graph.outcome.keys() | order.graph.imports
    named = each.undo.trigger.types
    if not named or not named <= known or not order.may_be_undone(each.success):
        return []
    further = [names for names in _further_answers(order, each) if not named.isdisjoint(names)]
    ends = [_that_come(order, each, names) for _, names in each.needs.answers]

    def may_all_stay_out(events: frozenset[str]) -> bool:
        order.check()
        return all(not events.issuperset(names) for names in (*ends, *further))

    clauses = each.undo.trigger.clauses(may_all_stay_out)
    if each.needs.is_leaf:
        first = [*map(_alone, sorted(set(order.first_failures(each.success))))]
        uncalled = list(clauses)
        return [call for call in first if not all(map(call.intersection, uncalled))]
    others = ([[name for name in names if name not in clause] for names in ends] for clause in clauses)
    return [answers for ends in others for answers in _first_to_come(order, each, ends)]


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
        and _is_called_after(order, call, step)
    ]


def _is_called_after(order: Order, call: Answers, step: Step) -> bool:
    """Whether a step may be called where these events have come: those that failed never succeed."""
    outcome = order.graph.outcome
    return order.is_called_without(step, [outcome[name][0] for name in call if outcome[name][1] == FAILED])


def _settles(order: Order, event: str, step: Step) -> bool:
    """Whether a step can't be done, or not any more, once this event, an answer of another one, has come."""
    outcome = order.graph.outcome[event][1]
    return outcome != SUCCEEDED and (_rules_out(order, event, step) or _waits_for(order, event, step))


def _waits_for(order: Order, answer: str, other: Step) -> bool:
    """Whether a step is undone, as this answer says, only once the other one has failed or is undone."""
    graph = order.graph
    undos = [
        undo.trigger
        for undo in graph.steps[graph.outcome[answer][0]].compensations
        if answer in undo.emits.successes
    ]
    ends = {*other.failures, *other.answers}
    waits = all(trigger and not trigger.satisfied(trigger.types - ends) for trigger in undos)
    return bool(undos) and waits and not _is_watched(order, answer)


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
    """Return the answers of further steps that the trigger names, and that come wherever the step was done.

    Each of these steps is called, in part at least, before the step is, or by an import, which comes at last.
    """
    graph = order.graph
    known = {each.step.name, *(step.name for step, _ in each.needs.answers)}
    named = {graph.outcome[name][0] for name in each.undo.trigger.types if name in graph.outcome}
    before = [step.trigger for step in (each.step, *order.surely_before(each.step)) if step.trigger]
    for name in sorted(named.intersection(graph.steps) - known):
        order.check()
        step = graph.steps[name]
        calls = step.trigger.types
        if not calls or each.step.name in order.after[name]:
            continue
        if _calls_in_part(step.trigger, calls & graph.imports) or any(
            not trigger.satisfied(trigger.types - calls) for trigger in before
        ):
            yield (*step.failures, *step.answers)


def _calls_in_part(trigger: Trigger, imports: frozenset[str]) -> bool:
    """Whether imports come to a join that needs something else: they aren't in vain in a rollback."""
    return bool(imports) and not trigger.satisfied(imports)


def _first_to_come(order: Order, each: Declared, ends: Sequence[Sequence[str]]) -> Iterator[Answers]:
    """Return the first answers, one of each list, that can come in one saga: something must have failed."""
    first = [names[0] for names in ends]
    changed = ([*first[:at], name, *first[at + 1 :]] for at, names in enumerate(ends) for name in names[1:])
    others = islice(_together(order, ends), _MOST_CALLS)
    for answers in chain((first,), sorted(changed, key=sorted), others):
        if _come_together(order, answers) and _bring_failure(order, each, answers):
            yield frozenset(answers)
            return


def _together(order: Order, ends: Sequence[Sequence[str]]) -> Iterator[list[str]]:
    """Return all answers, one of each list, that can come in one saga."""
    waiting: list[list[str]] = [[]]
    while waiting:
        order.check()
        chosen = waiting.pop()
        if len(chosen) == len(ends):
            yield chosen
            continue
        further = ([*chosen, name] for name in reversed(ends[len(chosen)]))
        waiting += [answers for answers in further if _come_together(order, answers[-1:], chosen)]


def _come_together(order: Order, some: Sequence[str], others: Sequence[str] = ()) -> bool:
    """Whether each of some answers can come in a saga with each other one: what is undone was done there."""
    order.check()
    return not any(
        _excludes(order, one, other) or _excludes(order, other, one)
        for at, one in enumerate(some)
        for other in (*others, *some[at + 1 :])
    )


def _excludes(order: Order, one: str, other: str) -> bool:
    """Whether an answer can't come where another one says that a step is undone."""
    undone = () if _is_watched(order, other) else [*_undone_by(order.graph, other)]
    return bool(undone) and not any(one in order.possible(success) for success in undone)


def _that_come(order: Order, each: Declared, answers: Sequence[str]) -> list[str]:
    """Return the answers of a successor that may come in a saga with the success."""
    possible = order.possible(each.success)
    return sorted(name for name in answers if name in possible and _may_come(order, name))


def _may_come(order: Order, answer: str) -> bool:
    """Whether an answer is a failure, or that of a step which a failure or a deadline can undo."""
    undone = [*_undone_by(order.graph, answer)]
    return not undone or _is_watched(order, answer) or any(map(order.may_be_undone, undone))


def _bring_failure(order: Order, each: Declared, answers: Sequence[str]) -> bool:
    """Whether something has failed where these answers come: a step of them, or one that is not settled."""
    undone = [(name, [*_undone_by(order.graph, name)]) for name in answers]
    if any(not successes or _is_watched(order, name) for name, successes in undone):
        return True
    owners = [order.graph.steps[order.graph.outcome[name][0]] for name in answers]
    done = {step.name for owner in (each.step, *owners) for step in (owner, *order.surely_before(owner))}
    return any(
        True
        for _, successes in undone
        for success in successes
        for _ in order.first_failures(success, sorted(done))
    )


def _is_watched(order: Order, answer: str) -> bool:
    step, _ = order.graph.outcome[answer]
    return any(deadline.step == step and order.is_armed(deadline) for deadline in order.graph.deadlines)


def _undone_by(graph: SagaGraph, answer: str) -> Iterator[str]:
    """Return the success events that an answer confirms as compensated; none for a failure."""
    step = graph.steps[graph.outcome[answer][0]]
    for success in step.successes:
        undo = step.compensation_for(success)
        if undo and answer in undo.emits.successes:
            yield success
