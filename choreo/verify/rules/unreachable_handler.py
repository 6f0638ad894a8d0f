"""CHO104 unreachable-handler: steps wait for each other, and nothing leads from the saga's start to them.

Why it is bad: the handlers are never called. In a join, every event must be reachable.

For example, two steps that wait for each other, and for nothing else:

    @hotel.action(fails=HotelFailed)
    def book(event: FlightBooked, ctx: Context) -> HotelBooked: ...

    @flight.action(fails=FlightFailed)
    def book(event: HotelBooked, ctx: Context) -> FlightBooked: ...

How to fix it: let one of them wait for an event that the saga's start leads to.
"""

from __future__ import annotations

from collections.abc import Iterator

from choreo.events import short_name
from choreo.verify.case import Case
from choreo.verify.finding import Finding, at, enumerated
from choreo.verify.properties import Property
from choreo.verify.rule import Rule

RULE = Rule(
    "CHO104",
    "unreachable-handler",
    __doc__,
    "error",
    unless=("CHO101", "CHO102", "CHO109", "CHO112", "CHO401", "CHO702"),
    properties=(Property.REACHABLE_HANDLERS,),
)


def check(case: Case) -> Iterator[Finding]:
    """Find circles of steps that the start doesn't lead to; what waits for these is a consequence."""
    graph = case.graph
    for names in case.order.cycles:
        first, *others = (graph.steps[name] for name in names)
        if any(graph.steps[name].trigger.satisfied(case.order.reachable) for name in names):
            continue
        missing = sorted(short_name(name) for name in first.trigger.types - case.order.reachable)
        yield RULE.finding(
            graph.name,
            f"`{first.name}` is never called",
            at(first.handler),
            why=f"nothing that the saga's start leads to brings about {enumerated(missing)}",
            help="let an event that can come call it, or drop it",
            steps=tuple(names),
            related=tuple(at(other.handler) for other in others),
        )
