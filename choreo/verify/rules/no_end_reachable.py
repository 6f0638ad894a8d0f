"""CHO105 no-end-reachable: no run of the saga reaches its `completes` event.

Why it is bad: every saga of this type fails, or stays open for ever.

For example, where the saga `completes=OrderFulfilled`, and the last step returns something else:

    @shipping.action(kind="retriable")
    def notify(event: ShipmentCreated, ctx: Context) -> CustomerNotified: ...

How to fix it: let the last step emit the saga's `completes` event.
"""

from __future__ import annotations

from collections.abc import Iterator

from choreo.events import short_name
from choreo.outcome import START
from choreo.verify.case import Case
from choreo.verify.finding import NOWHERE, Finding, at
from choreo.verify.properties import Property
from choreo.verify.rule import UNCLEAR, Rule

RULE = Rule(
    "CHO105",
    "no-end-reachable",
    __doc__,
    "error",
    unless=(*UNCLEAR, "CHO108", "CHO401"),
    properties=(Property.REACHABLE_END,),
)


def check(case: Case) -> Iterator[Finding]:
    """Find a saga whose `completes` event no run reaches."""
    graph = case.graph
    completes = graph.contract.completes
    if completes in case.order.reachable:
        return
    what = "is emitted only where nothing leads" if completes in case.emitted else "is emitted by nobody"
    undos = graph.steps[START].compensations
    starts = graph.consumers.get(graph.contract.starts, [])
    yield RULE.finding(
        graph.name,
        f"saga {graph.name!r} never completes",
        at(undos[0]) if undos else at(starts[0]) if starts else NOWHERE,
        why=f"{short_name(completes)} {what}",
        help=f"let the last step emit {short_name(completes)}",
        steps=(completes,),
    )
