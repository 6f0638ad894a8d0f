"""CHO208 failing-compensation: a compensation declares a failure event, or more than one event.

Why it is bad: a rollback that can fail is none. A compensation is retried until it succeeds; one that can't
becomes a dead letter, for a person to decide.

For example:

    @payments.compensation(of=charge)
    def refund(event: ShipmentFailed, charged: PaymentProcessed, ctx: Context) -> Refunded | RefundFailed: ...

How to fix it: let it return one event, raise an exception where it can't be done now, and name in `ignore=`
the exceptions which mean that it is done already.
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
    """Find compensations that declare anything but one success event."""
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
