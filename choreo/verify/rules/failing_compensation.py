"""failing-compensation: a compensation has an outcome that means failure.

Why it is bad: a rollback that can fail is none. A compensation is retried until it is done; what can't be
done waits as a dead letter for a person.

For example:

    @payments.compensation(of=charge)
    def refund(event: ShipmentFailed, charged: PaymentProcessed, ctx: Context) -> Refunded | RefundFailed: ...

How to fix it: let it return its one event, raise where it can't, and name what counts as done already in
`ignore=`.
"""

from __future__ import annotations

from collections.abc import Iterator

from choreo.events import short_name
from choreo.verify.case import Case
from choreo.verify.finding import Finding, at
from choreo.verify.properties import Property
from choreo.verify.rule import Rule

RULE = Rule(
    "CHO208", "failing-compensation", __doc__, "error", properties=(Property.INFALLIBLE_COMPENSATION,)
)


def check(case: Case) -> Iterator[Finding]:
    """Find compensations that declare a failure event, or more than one event."""
    for handler in case.graph.handlers:
        if handler.task != "compensation":
            continue
        several = handler.emits.failures or handler.emits.successes[1:]
        if several:
            yield RULE.finding(
                case.graph.name,
                f"`{handler.name}` may answer {short_name(several[0])}",
                at(handler),
                why="a compensation has one outcome: done",
                help="return one event, and raise where it can't be done now",
                steps=(handler.name,),
            )
