"""unreachable-handler: what a handler waits for is emitted, but nothing that the saga's start leads to
brings it about.

Why it is bad: the handler is never called. Of a join every slot must be reachable.

For example, two steps that wait for each other, and for nothing else:

    @hotel.action(fails=HotelFailed)
    def book(event: FlightBooked, ctx: Context) -> HotelBooked: ...

    @flight.action(fails=FlightFailed)
    def book(event: HotelBooked, ctx: Context) -> FlightBooked: ...

How to mend it: look at what must come before the events that it waits for; one of them can't.
"""

from __future__ import annotations

from collections.abc import Iterator

from choreo.event import short_name
from choreo.verify.case import Case
from choreo.verify.finding import Finding, at
from choreo.verify.rule import Rule

RULE = Rule(
    __name__, __doc__ or "", "error", unless=("CHO101", "CHO102", "CHO107", "CHO112", "CHO401", "CHO702")
)


def check(case: Case) -> Iterator[Finding]:
    """Find handlers whose events nothing can bring about from the saga's start."""
    graph = case.graph
    for handler in graph.handlers:
        names = frozenset().union(*handler.trigger)
        if not handler.trigger or any(option <= case.reachable for option in handler.trigger):
            continue
        missing = sorted(short_name(name) for name in names - case.reachable)
        if names <= case.emitted | graph.imports:
            yield RULE.finding(
                graph.name,
                f"`{handler.name}` is never called",
                at(handler),
                why=f"nothing that the saga's start leads to brings about {', '.join(missing)}",
                help="let an event that can come call it, or drop it",
                steps=(handler.name,),
            )
