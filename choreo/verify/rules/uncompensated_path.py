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
from choreo.verify.finding import Finding, at
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
            yield _finding(case, each, min(missing, key=sorted))


def _finding(case: Case, each: Declared, wrong: frozenset[str]) -> Finding:
    owners = sorted({case.graph.outcome[name][0] for name in wrong})
    run = case.shortest_run(wrong, each.step.name)
    names = " and ".join(sorted(short_name(name) for name in wrong))
    code = definition(case, each.step, each.undo, each.needs)
    return RULE.finding(
        case.graph.name,
        f"`{each.undo.name}` is not called by {names}",
        at(each.undo),
        why=f"`{each.step.name}` was done before {' and '.join(f'`{name}`' for name in owners)}, and must be "
        "undone then, too",
        help=f"trigger `{each.undo.name.partition('.')[2]}` by every end of what comes after its step:",
        paste=code.lines,
        imports=code.imports,
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
