"""What calls each compensation, as declared, beside what has to call it by rule R7."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from choreo.choreography import Step, Wanted, wanted
from choreo.manifest import HandlerEntry
from choreo.outcome import SUCCEEDED
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
