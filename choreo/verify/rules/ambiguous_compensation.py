"""CHO202 ambiguous-compensation: two compensations undo the same success event.

Why it is bad: it would be chance which of them is called.

For example:

    @payments.compensation(of=charge)
    def refund(event: ShipmentFailed, charged: PaymentProcessed, ctx: Context) -> Refunded: ...

    @payments.compensation(of=charge)
    def credit(event: ShipmentFailed, charged: PaymentProcessed, ctx: Context) -> Credited: ...

How to fix it: declare one compensation for all success events of a step, or one for each, told apart by the
type of its result parameter.
"""

from __future__ import annotations

from collections.abc import Iterator

from choreo.events import short_name
from choreo.protocol import serves
from choreo.verify.case import Case
from choreo.verify.finding import Finding, at
from choreo.verify.properties import Property
from choreo.verify.rule import Rule

RULE = Rule("CHO202", "ambiguous-compensation", __doc__, "error", properties=(Property.ONE_COMPENSATION,))


def check(case: Case) -> Iterator[Finding]:
    """Find success events that more than one compensation claims."""
    for step in case.graph.steps.values():
        for success in step.successes:
            claims = [undo for undo in step.compensations if serves(undo, success)]
            if len(claims) > 1:
                yield RULE.finding(
                    case.graph.name,
                    f"`{claims[0].name}` and `{claims[1].name}` both undo {short_name(success)}",
                    at(claims[1]),
                    why="one of them would be called, by chance",
                    help="drop one, or annotate each with the success event that it undoes",
                    steps=(step.name, success),
                    related=(at(claims[0]),),
                )
