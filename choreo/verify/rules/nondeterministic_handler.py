"""CHO606 nondeterministic-handler: a handler uses the clock, or random values.

Why it is bad: a repeated attempt, or a replay of the saga, has another result: another id at the payment
provider, another day on the invoice.

For example:

    @payments.action(fails=PaymentFailed)
    def charge(event: Reserved, ctx: Context) -> PaymentProcessed:
        return PaymentProcessed(event.order_id, reference=str(uuid4()), at=datetime.now(UTC))

How to fix it: take the time from `ctx.now`, and a unique key from `ctx.idempotency_key`: they stay the same.
"""

from __future__ import annotations

from collections.abc import Iterator

from choreo.verify.case import Case
from choreo.verify.finding import Finding
from choreo.verify.rule import Rule

RULE = Rule("CHO606", "nondeterministic-handler", __doc__, "warning")


def check(case: Case) -> Iterator[Finding]:
    """Find calls in handlers, and in what they call, that have another result each time."""
    for remark, handler in RULE.remarks(case):
        plain = remark.about.replace("()", "")
        clock = plain.startswith(("datetime.", "time."))
        yield RULE.finding(
            case.graph.name,
            f"`{handler.name}` calls {plain}, which {remark.what}",
            remark.where,
            why="a repeated attempt, or a replay, comes to another result",
            help="take ctx.now" if clock else "derive it from ctx.idempotency_key, which stays the same",
            steps=(handler.name, plain),
            related=remark.chain,
        )
