"""CHO604 registry-drift: the source has a handler that importing the participant did not register.

Why it is bad: a reader of the code believes that it runs. It is in a module that nobody imports, or under a
condition that doesn't hold here.

For example, `shop/refunds.py`, where `shop/payments.py` declares the participant and doesn't import it:

    from .payments import payments

    @payments.compensation(of="charge")
    def refund(event: ShipmentFailed, ctx: Context) -> PaymentRefunded: ...

How to fix it: import the module where the participant is declared, or delete the handler.
"""

from __future__ import annotations

from collections.abc import Iterator

from choreo.verify.case import Case
from choreo.verify.finding import Finding
from choreo.verify.rule import Rule

RULE = Rule("CHO604", "registry-drift", __doc__, "error")


def check(case: Case) -> Iterator[Finding]:
    """Find decorated functions that are not registered; each in one saga of its participant."""
    for manifest in case.choreography.manifests:
        if not manifest.sagas or manifest.sagas[0].name != case.graph.name:
            continue
        for remark in manifest.remarks:
            if remark.rule == RULE.id:
                yield RULE.finding(
                    case.graph.name,
                    f"`{remark.handler}` is declared in the source, and was not registered",
                    remark.where,
                    why=f"importing {manifest.participant}'s module did not reach this {remark.about}",
                    help="import its module where the participant is declared, or delete it",
                    steps=(remark.handler,),
                )
