"""CHO601 undeclared-emit: a handler may return what it doesn't declare.

Why it is bad: the runtime refuses it before the commit, so the step fails at every attempt; and what is
verified is not what the code does.

For example:

    @payments.action(fails=PaymentFailed)
    def charge(event: Reserved, ctx: Context) -> PaymentProcessed:
        if event.total == 0:
            return PaymentSkipped(event.order_id)

How to fix it: add the event to the return annotation (and let a handler wait for it), or return another one.
"""

from __future__ import annotations

from collections.abc import Iterator

from choreo.events import short_name
from choreo.verify.case import Case
from choreo.verify.finding import Finding
from choreo.verify.properties import Property
from choreo.verify.rule import Rule

RULE = Rule("CHO601", "undeclared-emit", __doc__, "error", properties=(Property.DECLARED_EMISSIONS,))


def check(case: Case) -> Iterator[Finding]:
    """Find returns of events, or of anything else, that the declaration doesn't name."""
    for remark, handler in RULE.remarks(case):
        declared = " | ".join(map(short_name, (*handler.emits.successes, *handler.emits.failures))) or "None"
        yield RULE.finding(
            case.graph.name,
            f"`{handler.name}` may return {short_name(remark.about)}, and declares {declared}",
            remark.where,
            why="the runtime refuses what isn't declared, before it is committed",
            help="declare it in the return annotation, or return what is declared",
            steps=(handler.name, remark.about),
            related=remark.chain,
        )
