"""compensation-order: a compensation may run before that of a later step.

Why it is bad: the later step may still be running, or may need what this one takes away: stock is released
while the customer is still charged for it. The textbook choreography in which everybody reacts to
ShipmentFailed at once has this.

How to mend it: a compensation is called by the *end* of the steps that its action triggered: by their
failure, or by the confirmation of their compensation, of all of them. The help gives the annotation.
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
    """Compare what calls each compensation with the reverse edges: does anything call it too early?"""
    for step in case.graph.steps.values():
        if not step.is_undone:
            continue
        for success in step.successes:
            undo = step.undo_of(success)
            if undo and success in case.reachable:
                yield from _too_early(case, step, undo, wanted(case.graph, success))


def _too_early(case: Case, step: Step, undo: HandlerEntry, needs: Wanted) -> Iterator[Finding]:
    known = case.emitted | case.graph.imports
    for option in undo.trigger or ((frozenset[str]()),):
        late = [each for each, answers in needs.answers if option.isdisjoint(answers)]
        foreign = needs.is_leaf and bool(option)
        if not option <= known or not (late or foreign):
            continue
        names = " and ".join(short_name(name) for name in sorted(option)) or "the first failure"
        if late:
            other = late[0].undos[0].name if late[0].undos else late[0].name
            message = f"`{undo.name}` may run before `{other}`"
            why = (
                f"{names} calls it, but `{late[0].name}` came after `{step.name}`, so it must be undone first"
            )
        else:
            message = f"`{undo.name}` is called by {names}, although no later step can fail"
            why = (
                f"nothing that can fail comes after `{step.name}`: "
                "the saga's first failure calls its compensation"
            )
        run = _shown_by(case, option, step)
        yield Finding(
            "CHO204",
            "compensation-order",
            "error",
            case.graph.name,
            message,
            undo.place,
            why=why,
            help=f"def {undo.name.partition('.')[2]}({needs.annotation()}, …)",
            steps=(undo.name, *sorted(option)),
            related=tuple((each.place, f"`{each.name}`") for each in late if each.place),
            scenario=run.scenario.title if run else "",
            trace=run.trace() if run else (),
        )
        return


def _shown_by(case: Case, option: frozenset[str], step: Step) -> Run | None:
    """Give the shortest run in which the step was undone because of these events."""
    runs = [
        run
        for run in case.runs
        if option <= {event.type for event in run.log}
        and any(event.step == step.name for event in run.log)
        and run.end != "completed"
    ]
    return min(runs, key=lambda run: len(run.log), default=None)
