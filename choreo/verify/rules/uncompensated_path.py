"""uncompensated-path: a compensation exists, and in some scenario nothing calls it.

Why it is bad: what the step did stays, and everything before it waits for ever for its confirmation. This
is the step whose failure reaches nobody.

For example, where `charge` may fail, too:

    @inventory.compensation(of=reserve)
    def release(event: PaymentRefunded, reserved: Reserved, ctx: Context) -> Released: ...

How to fix it: a compensation is called by every step that its action's success triggers: by its failure,
or by the confirmation of its compensation. The help gives the line.
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
from choreo.verify.suggestion import signature

RULE = Rule(
    "CHO203",
    "uncompensated-path",
    __doc__,
    "error",
    unless=(*UNCLEAR, "CHO202", "CHO208"),
    properties=(Property.COMPLETE_ROLLBACK,),
)


def check(case: Case) -> Iterator[Finding]:
    """Compare what calls each compensation with the reverse edges: is anything missing?"""
    for each in declared(case.order):
        missing = missing_calls(case.order, each)
        if missing and not early_call(
            case.order, each
        ):  # where it runs too early, CHO204's mend mends this, too
            yield _finding(case, each, min(missing, key=sorted))


def _finding(case: Case, each: Declared, wrong: frozenset[str]) -> Finding:
    owners = sorted({case.graph.outcome[name][0] for name in wrong})
    run = case.shortest_run(wrong, each.step.name)
    names = " and ".join(sorted(short_name(name) for name in wrong))
    return RULE.finding(
        case.graph.name,
        f"`{each.undo.name}` is not called by {names}",
        at(each.undo),
        why=f"`{each.step.name}` was done before {' and '.join(f'`{name}`' for name in owners)}, and must be "
        "undone then, too",
        help=f"trigger `{each.undo.name.partition('.')[2]}` by every end of what comes after its step:",
        paste=signature(case.graph, each.step, each.undo, each.needs),
        steps=(each.undo.name, *sorted(wrong)),
        related=tuple(
            at(case.graph.steps[name].handler) for name in owners if case.graph.steps[name].handler
        ),
        scenario=run.scenario.title if run else "",
        run=_trace(run, wrong) if run else (),
    )


def _trace(run: Run, wrong: frozenset[str]) -> tuple[RunLine, ...]:
    last = [number for number, event in enumerate(run.log) if event.type in wrong]
    return run.lines(run.cone(*last), {max(last): "<- nothing moves any more"})
