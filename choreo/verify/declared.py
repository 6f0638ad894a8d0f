"""What calls each compensation, as declared, beside what has to call it by rule R7."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from choreo.choreography import Step, Wanted, wanted
from choreo.manifest import HandlerEntry
from choreo.outcome import FAILED, SUCCEEDED, TIMED_OUT
from choreo.verify.case import Case
from choreo.verify.run import Run


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
            undo = step.undo_of(success)
            if undo and not undo.derived and success in case.reachable:
                yield Declared(step, success, undo, wanted(case.graph, success))


def too_early(case: Case, each: Declared) -> tuple[frozenset[str], list[Step]] | None:
    """Give what calls a compensation before steps that came after its own have ended, and those steps."""
    known = case.emitted | case.graph.imports
    for option in each.undo.trigger or (frozenset[str](),):
        if not option <= known:
            continue  # CHO101 and CHO102 say why
        late = [
            step
            for step, answers in each.needs.answers
            if option.isdisjoint({*answers, *timeouts(case, step)})
        ]
        if late or (each.needs.is_leaf and option and not _says_failure(case, option)):
            return option, late
    return None


def lacking(case: Case, each: Declared) -> list[frozenset[str]]:
    """Give the endings of the steps after it that do not call a compensation."""
    known = case.emitted | case.graph.imports
    if not frozenset().union(*each.undo.trigger) <= known:
        return []
    if each.needs.is_leaf:
        needs = _first_failures(case, each.step) if each.undo.trigger else ()
        return [frozenset({name}) for name in needs if not _calls(each.undo, frozenset({name}))]
    return [
        option for option in each.needs.alternatives if each.undo.trigger and not _calls(each.undo, option)
    ]


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
    return min(runs, key=lambda run: len(run.log), default=None)


def _calls(undo: HandlerEntry, came: frozenset[str]) -> bool:
    return any(option <= came for option in undo.trigger)


def _says_failure(case: Case, option: frozenset[str]) -> bool:
    """Say whether one of the events comes only when the saga fails."""
    return any(case.graph.outcome.get(name, ("", ""))[1] != SUCCEEDED for name in option)


def _first_failures(case: Case, step: Step) -> list[str]:
    """Give the failures and timeouts that can be the first of a saga in which a step was done."""
    others = {other.name for other in case.beside(step)} | case.after[step.name]
    return sorted(
        name
        for name, (owner, outcome) in case.graph.outcome.items()
        if outcome in (FAILED, TIMED_OUT) and owner in others
    )
