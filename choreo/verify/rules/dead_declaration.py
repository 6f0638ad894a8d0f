"""CHO602 dead-declaration: a handler declares an event that it never returns.

Why it is bad: others wait for it in vain, and `verify` explores runs that can't happen. The first failure
event needs no `return`: the runtime publishes it when it refuses the step.

For example:

    @stock.action(fails=Unavailable)
    def reserve(event: OrderCreated, ctx: Context) -> Reserved | Backordered:
        return Reserved(event.order_id)

How to fix it: drop it from the return annotation, or return it.
"""

from __future__ import annotations

from collections.abc import Iterator

from choreo.events import short_name
from choreo.verify.case import Case
from choreo.verify.finding import Finding
from choreo.verify.properties import Property
from choreo.verify.rule import Rule

RULE = Rule("CHO602", "dead-declaration", __doc__, "warning", properties=(Property.DECLARED_EMISSIONS,))


def check(case: Case) -> Iterator[Finding]:
    """Find declared events that no ``return`` of the handler returns."""
    for remark, handler in RULE.remarks(case):
        yield RULE.finding(
            case.graph.name,
            f"`{handler.name}` declares {short_name(remark.about)} and never returns it",
            remark.where,
            why="whoever waits for it waits in vain",
            help=f"drop {short_name(remark.about)} from the declaration, or return it",
            steps=(handler.name, remark.about),
        )
