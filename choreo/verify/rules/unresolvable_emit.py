"""CHO603 unresolvable-emit: the source doesn't show what a handler returns.

Why it is bad: whether the body emits what the handler declares can't be checked before it runs.

For example:

    @payments.action(fails=PaymentFailed)
    def charge(event: Reserved, ctx: Context) -> PaymentProcessed:
        return ANSWERS[event.method](event)

How to fix it: return the event's class by name, or annotate the function that makes it: `->
PaymentProcessed`.
"""

from __future__ import annotations

from collections.abc import Iterator

from choreo.verify.case import Case
from choreo.verify.finding import Finding
from choreo.verify.rule import Rule

RULE = Rule("CHO603", "unresolvable-emit", __doc__, "warning")


def check(case: Case) -> Iterator[Finding]:
    """Find returns whose event class can't be followed."""
    for remark, handler in RULE.remarks(case):
        yield RULE.finding(
            case.graph.name,
            f"what `{handler.name}` returns here can't be told",
            remark.where,
            why="so nobody can say whether it is declared",
            help="name the event's class, or annotate the function that makes it",
            steps=(handler.name,),
            related=remark.chain,
        )
