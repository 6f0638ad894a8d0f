"""uncompensated-path: a compensation exists, and some failure never calls it.

Why it is bad: in that scenario what the step did stays, and everything before it waits for ever for its
confirmation.

How to mend it: a compensation is called by every step that its action's success triggers: by its failure,
or by the confirmation of its compensation. The help gives the annotation.
"""

from __future__ import annotations

from collections.abc import Iterator

from choreo.choreography import Step, Wanted, wanted
from choreo.event import short_name
from choreo.manifest import HandlerEntry
from choreo.verify.case import Case
from choreo.verify.finding import Finding
from choreo.verify.run import Run


def check(case: Case) -> Iterator[Finding]:
    """Compare what calls each compensation with the reverse edges: is anything missing?"""
    for step in case.graph.steps.values():
        if not step.is_undone:
            continue
        for success in step.successes:
            undo = step.undo_of(success)
            if undo and success in case.reachable:
                yield from _missing(case, step, undo, wanted(case.graph, success))


def _missing(case: Case, step: Step, undo: HandlerEntry, needs: Wanted) -> Iterator[Finding]:
    known = case.emitted | case.graph.imports
    if not frozenset().union(*undo.trigger) <= known:
        return  # CHO101 and CHO102 say why
    lacking = [combination for combination in needs.alternatives if not _is_called(undo, combination)]
    if not lacking:
        return
    wrong = sorted(lacking, key=sorted)[0]
    step_of = case.graph.outcome[sorted(wrong)[0]][0]
    run = _shown_by(case, wrong)
    yield Finding(
        "CHO203",
        "uncompensated-path",
        "error",
        case.graph.name,
        f"`{undo.name}` is never called when {' and '.join(short_name(name) for name in sorted(wrong))} came",
        undo.place,
        why=f"`{step.name}` was done before `{step_of}`, so it must be undone then, too",
        help=f"def {undo.name.partition('.')[2]}({needs.annotation()}, …)",
        steps=(undo.name, *sorted(wrong)),
        related=tuple((each.place, f"`{each.name}`") for each, _ in needs.answers if each.place),
        scenario=run.scenario.title if run else "",
        trace=run.lines(run.cone(max(run.valid))) if run else (),
    )


def _is_called(undo: HandlerEntry, combination: frozenset[str]) -> bool:
    if not undo.trigger:
        return True  # by the first failure: too early, perhaps, which is CHO204's matter
    return any(option <= combination for option in undo.trigger)


def _shown_by(case: Case, events: frozenset[str]) -> Run | None:
    """Give the shortest run in which these events came."""
    runs = [run for run in case.runs if events <= {event.type for event in run.log}]
    return min(runs, key=lambda run: len(run.log), default=None)
