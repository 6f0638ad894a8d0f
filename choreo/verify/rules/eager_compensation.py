"""CHO211 eager-compensation: a compensation is called by a timeout, not by the answer that follows it.

Why it is bad: a step that is late may still be running, or may have been done. Its owner publishes which:
by its failure, or by its compensated event. A compensation that doesn't wait for that runs before the late
step is undone: out of order.

For example, where a deadline on `charge` emits `PaymentTimedOut`:

    @inventory.compensation(of=reserve)
    def release(event: PaymentTimedOut | PaymentFailed | PaymentRefunded, …) -> Released: ...

How to fix it: drop the timeout from the trigger: one of the other two events follows it. The help of the
finding has the line.
"""

from __future__ import annotations

from collections.abc import Iterator

from choreo.events import short_name
from choreo.verify.analysis.rollback import declared, early_call, timeouts
from choreo.verify.case import Case
from choreo.verify.finding import Finding, at
from choreo.verify.properties import Property
from choreo.verify.rule import UNCLEAR, Rule
from choreo.verify.suggestion import definition

RULE = Rule(
    "CHO211",
    "eager-compensation",
    __doc__,
    "error",
    unless=(*UNCLEAR, "CHO202", "CHO208"),
    properties=(Property.REVERSE_ORDER,),
)


def check(case: Case) -> Iterator[Finding]:
    """Find compensations that are triggered by a timeout of the next step."""
    for each in declared(case.order):
        named = each.undo.trigger.types
        for step, _ in each.needs.answers:
            late = sorted(named & timeouts(case.graph, step))
            if not late or early_call(case.order, each):
                continue
            code = definition(case, each.step, each.undo, each.needs)
            yield RULE.finding(
                case.graph.name,
                f"`{each.undo.name}` does not wait for `{step.name}` after {short_name(late[0])}",
                at(each.undo),
                why=f"`{step.name}` may have been done all the same: its owner says when it is undone",
                help=f"drop {short_name(late[0])}:",
                code=code,
                steps=(each.undo.name, late[0]),
                related=tuple(
                    at(deadline) for deadline in case.graph.deadlines if deadline.step == step.name
                ),
            )
            break
