"""CHO203 uncompensated-path: a compensation exists, and in some scenario nothing calls it.

Why it is bad: what the step did stays, and the compensations before it wait for ever until it is undone.
Mostly one of the ends of a later step is missing from its triggers.

For example, where `charge` may also fail, and then emits `PaymentFailed`:

    @inventory.compensation(of=reserve)
    def release(event: PaymentRefunded, reserved: Reserved, ctx: Context) -> Released: ...

How to fix it: trigger a compensation by every step that the success of its action triggers: by the failure
of that step, or by its compensated event. The help of the finding has the line.
"""

from __future__ import annotations

from collections.abc import Iterator

from choreo.events import short_name
from choreo.verify.analysis.rollback import Declared, declared, early_call, missing_calls
from choreo.verify.case import Case
from choreo.verify.engine.run import Run, RunLine
from choreo.verify.finding import Finding, at, enumerated, listed
from choreo.verify.properties import Property
from choreo.verify.rule import UNCLEAR, Rule
from choreo.verify.suggestion import definition

RULE = Rule(
    "CHO203",
    "uncompensated-path",
    __doc__,
    "error",
    unless=(*UNCLEAR, "CHO202", "CHO208"),
    properties=(Property.COMPLETE_ROLLBACK,),
)


def check(case: Case) -> Iterator[Finding]:
    """Find compensations whose triggers lack one that the reverse edges require (rule R7)."""
    for each in declared(case.order):
        missing = missing_calls(case.order, each)
        if missing and not early_call(case.order, each):  # else the fix of CHO204 fixes this, too
            wrong = min(missing, key=sorted)
            run = case.shortest_run(wrong, each.step.name)
            yield (
                _finding(case, each, wrong, run) if run else _finding(case, each, *_shown(case, each, wrong))
            )


def _shown(case: Case, each: Declared, wrong: frozenset[str]) -> tuple[frozenset[str], Run | None]:
    """Return answers that come in a run and call nothing, with the run; these ones where there is none."""
    ends = [frozenset(names) for _, names in each.needs.answers]

    def is_never_called(run: Run) -> bool:
        come = {event.type for event in run.events}
        is_over = each.success in come and not any(map(come.isdisjoint, ends))
        return is_over and not each.undo.trigger.satisfied(come)

    run = case.shortest(is_never_called) if ends else None
    return (frozenset().union(*ends) & {event.type for event in run.events}, run) if run else (wrong, None)


def _finding(case: Case, each: Declared, wrong: frozenset[str], run: Run | None) -> Finding:
    named = each.undo.trigger.types
    owners = sorted({case.graph.outcome[name][0] for name in wrong})
    names = enumerated(map(short_name, sorted(wrong, key=lambda name: (name in named, name))))
    code = definition(case, each.step, each.undo, each.needs)
    return RULE.finding(
        case.graph.name,
        f"`{each.undo.name}` is not called by {names}",
        at(each.undo),
        why=f"`{each.step.name}` was done before {listed(owners)}, and must be undone then, too",
        help=f"trigger `{each.undo.name.partition('.')[2]}` by every end of what comes after its step:",
        code=code,
        steps=(each.undo.name, *sorted(wrong)),
        related=tuple(
            at(case.graph.steps[name].handler) for name in owners if case.graph.steps[name].handler
        ),
        scenario=run.scenario.title if run else "",
        run=_trace(run, wrong) if run else (),
    )


def _trace(run: Run, wrong: frozenset[str]) -> tuple[RunLine, ...]:
    last = [number for number, event in enumerate(run.events) if event.type in wrong]
    return run.lines(run.cone(*last), {max(last): "<- nothing moves any more"})
