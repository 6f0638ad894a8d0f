"""What calls a compensation, held against what has to call it by rule R7: too early, or never.

It is exact, not only strict: a trigger that the reverse edges don't have is wrong where a later step may
still be done when it comes, and one that they have is missing where those answers can come in one saga.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import NamedTuple

from choreo.graph import Step, Wanted, wanted
from choreo.manifest import HandlerEntry
from choreo.outcome import FAILED, SUCCEEDED
from choreo.verify.case import Case
from choreo.verify.engine.run import Run

Answers = frozenset[str]
"""Events that say of steps that they failed, or are undone."""


def too_early(case: Case, each: Declared) -> tuple[Answers, list[Step]] | None:
    """Give what calls a compensation too early, and the steps that may still be done or undone then.

    No step where what calls it is no failure at all.
    """
    possible = case.order.possible(each.success)
    calls = [call for call in each.undo.trigger if call <= possible]
    for call in calls:
        if all(case.graph.outcome[name][1] == SUCCEEDED for name in call):
            return call, _still_open(case, each, call)
    if not case.order.may_be_undone(each.success):
        return None
    for call in calls if each.undo.trigger else map(_alone, case.order.first_failures(each.success)):
        late = _still_open(case, each, call)
        if late:
            return call, late
    return None


def lacking(case: Case, each: Declared) -> list[Answers]:
    """Give the answers, one of each successor, that can come in one saga and don't call a compensation."""
    known = case.emitted | case.graph.imports
    named = frozenset().union(*each.undo.trigger)
    if not named or not named <= known or not case.order.may_be_undone(each.success):
        return []
    if each.needs.is_leaf:
        alone = map(_alone, sorted(set(case.order.first_failures(each.success))))
        return [call for call in alone if not _calls(each.undo, call)]
    owed = [answers for answers in _owed(case, each) if not named.isdisjoint(answers)]
    return [
        answers
        for answers in each.needs.alternatives
        if not all(_calls(each.undo, answers.union(further)) for further in product(*owed))
        and _may_come(case, answers)
    ]


def _alone(name: str) -> Answers:
    return frozenset((name,))


def _calls(undo: HandlerEntry, answers: Answers) -> bool:
    return any(option <= answers for option in undo.trigger)


def _still_open(case: Case, each: Declared, call: Answers) -> list[Step]:
    """Give the successors that may still be done when these events have come.

    A successor behind a step that failed, or is undone, can't be: it never came so far, or was undone first.
    That a step is late is taken for its answer where it is named, which is CHO211's matter.
    """
    graph = case.graph
    settled = [name for name in call if graph.outcome[name][1] != SUCCEEDED]
    return [
        step
        for step, answers in each.needs.answers
        if call.isdisjoint({*answers, *(timeouts(case, step) if each.undo.trigger else ())})
        and not any(_rules_out(case, name, step) for name in settled)
    ]


def _rules_out(case: Case, answer: str, other: Step) -> bool:
    """Say whether the other step can't be done once a step has failed, or is undone.

    A join that is refused says nothing of the way that was taken: one of its slots may be filled on any.
    """
    order, (name, outcome) = case.order, case.graph.outcome[answer]
    settled = case.graph.steps[name]
    if order.is_surely_before(settled, other):
        return True
    if outcome == FAILED and order.may_be_refused_beside(settled, other):
        return False
    return order.are_exclusive(settled, other)


def _owed(case: Case, each: Declared) -> Iterator[tuple[str, ...]]:
    """Give the answers of further steps that owe one, too: a step before this one touched them."""
    graph, order = case.graph, case.order
    known = {each.step.name, *(step.name for step, _ in each.needs.answers)}
    before = [step for step in graph.steps.values() if order.is_surely_before(step, each.step)]
    sure = [*graph.imports, *(step.successes[0] for step in before if len(step.successes) == 1)]
    for step in dict.fromkeys(after for success in sure for after in graph.successors(success)):
        if step.name not in known and each.step.name not in order.after[step.name]:
            yield (*step.failures, *step.answers)


def _may_come(case: Case, answers: Answers) -> bool:
    """Say whether these answers can come in one saga: what is undone there needs a failure elsewhere."""
    undone = [list(_undone_by(case, name)) for name in sorted(answers)]
    return any(_may_all_be_undone(case, way, all(undone)) for way in product(*filter(None, undone)))


def _may_all_be_undone(case: Case, successes: tuple[str, ...], nothing_failed: bool) -> bool:
    watched = {deadline.step for deadline in case.graph.deadlines}
    freely = [success for success in successes if case.graph.outcome[success][0] not in watched]
    if len(freely) == len(successes) and nothing_failed and not case.order.may_be_undone(*freely):
        return False
    return all(map(case.order.may_be_undone, freely))


def _undone_by(case: Case, answer: str) -> Iterator[str]:
    """Give the success events that an answer says are undone; none for a failure."""
    step = case.graph.steps[case.graph.outcome[answer][0]]
    for success in step.successes:
        undo = step.compensation_for(success)
        if undo and answer in undo.emits.successes:
            yield success


class Declared(NamedTuple):
    """One compensation of one success event: the step it undoes, and the reverse edges."""

    step: Step
    success: str
    undo: HandlerEntry
    needs: Wanted


def declared(case: Case) -> Iterator[Declared]:
    """Give every compensation of every success event that can come; derived triggers are right by
    themselves."""
    for step in case.graph.steps.values():
        if not step.is_undone:
            continue
        for success in step.successes:
            undo = step.compensation_for(success)
            if undo and not undo.derived and success in case.reachable:
                yield Declared(step, success, undo, wanted(case.graph, success))


def timeouts(case: Case, step: Step) -> frozenset[str]:
    """Give the events that say of a step that it is late."""
    watching = (deadline for deadline in case.graph.deadlines if deadline.step == step.name)
    return frozenset(name for deadline in watching for name in deadline.emits.successes)


def shown_by(case: Case, events: frozenset[str], *steps: str) -> Run | None:
    """Give the shortest run in which these events came, and these steps were done and undone."""
    runs = [
        run
        for run in case.runs
        if events <= {event.type for event in run.log}
        and set(steps) <= {event.step for event in run.log if event.outcome == SUCCEEDED}
        and run.end != "completed"
    ]
    return min(runs, key=lambda run: (len(run.scenario.troubles), len(run.log)), default=None)
