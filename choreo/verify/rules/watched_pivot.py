"""CHO304 watched-pivot: a deadline is set on a step that can't be undone.

Why it is bad: if the deadline came first and the step succeeded all the same, the saga would be rolled back
around a step that stays.

For example, where `settle` is a pivot of another participant:

    @source.deadline(of="ledger.settle", within=timedelta(minutes=5))
    def settlement_is_late(event: Credited, ctx: Context) -> SettlementTimedOut: ...

How to fix it: give the pivot a `timeout=` of its own, which is enforced before it begins.
"""

from __future__ import annotations

from collections.abc import Iterator

from choreo.outcome import PIVOT, RETRIABLE
from choreo.verify.case import Case
from choreo.verify.finding import Finding, at
from choreo.verify.properties import Property
from choreo.verify.rule import Rule

RULE = Rule(
    "CHO304",
    "watched-pivot",
    __doc__,
    "error",
    unless=("CHO112",),
    properties=(Property.WATCHED_COMPENSATABLE,),
)


def check(case: Case) -> Iterator[Finding]:
    """Find deadlines on pivots and retriable steps."""
    for deadline in case.graph.deadlines:
        step = case.graph.steps.get(deadline.step)
        if step is None or step.kind not in (PIVOT, RETRIABLE):
            continue
        kind = "a pivot" if step.kind == PIVOT else step.kind
        yield RULE.finding(
            case.graph.name,
            f"`{deadline.name}` sets a deadline on `{deadline.step}`, which is {kind}",
            at(deadline),
            why="it can't be undone, so timing it out could not be made good",
            help=f"give `{deadline.step}` a timeout= of its own, or drop the deadline",
            steps=(deadline.name,),
            related=(at(step.handler),),
        )
