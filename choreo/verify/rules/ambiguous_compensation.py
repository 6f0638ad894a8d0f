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
from choreo.verify.finding import Finding, at, enumerated
from choreo.verify.properties import Property
from choreo.verify.rule import Rule

RULE = Rule("CHO202", "ambiguous-compensation", __doc__, "error", properties=(Property.ONE_COMPENSATION,))


def check(case: Case) -> Iterator[Finding]:
    """Find steps with two compensations for one success event; each pair of them once."""
    for step in case.graph.steps.values():
        told: set[tuple[str, str]] = set()
        for success in step.successes:
            claims = [undo for undo in step.compensations if serves(undo, success)]
            if len(claims) < 2 or (claims[0].name, claims[1].name) in told:
                continue
            told.add((claims[0].name, claims[1].name))
            open_ones = [short_name(each) for each in step.successes if not step.compensation_for(each)]
            rest = f": nothing undoes {enumerated(open_ones)}" if open_ones else ""
            yield RULE.finding(
                case.graph.name,
                f"`{claims[0].name}` and `{claims[1].name}` both undo {short_name(success)}",
                at(claims[1]),
                why="one of them would be called, by chance",
                help=f"drop one, or annotate each with the success event that it undoes{rest}",
                steps=(step.name, success),
                related=(at(claims[0]),),
            )
