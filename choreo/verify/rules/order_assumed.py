"""CHO401 order-assumed: a handler relies on an order of events that nothing guarantees.

Why it is bad: order is kept within one topic and key, and between what causes and what follows. Everything
else comes in any order, so the handler finds its event missing in some sagas, or waits for one that never
comes on its topic.

For example, where the two branches run in parallel:

    @flight.action(fails=FlightFailed)
    def book(event: TripRequested, hotel: Earlier[HotelBooked], ctx: Context) -> FlightBooked: ...

or where a handler waits for an event of another saga, which has another topic and key.

How to fix it: join the event (`event: …, hotel: HotelBooked`), or let it be missing
(`Earlier[…] | None`); import an event of another saga as `External`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from choreo.events import short_name
from choreo.manifest import HandlerEntry
from choreo.verify.analysis.misplaced import Misplaced
from choreo.verify.analysis.precedence import past_of, precede
from choreo.verify.case import Case
from choreo.verify.finding import Finding, at, enumerated, listed, plural
from choreo.verify.properties import Property
from choreo.verify.rule import Rule
from choreo.verify.rules.phantom_event import elsewhere
from choreo.verify.suggestion import signature

RULE = Rule(
    "CHO401",
    "order-assumed",
    __doc__,
    "error",
    unless=("CHO101", "CHO107", "CHO109", "CHO112", "CHO702"),
    properties=(Property.ONE_TOPIC,),
)


def check(case: Case) -> Iterator[Finding]:
    """Find earlier events that need not have come, and triggers that are on another saga's topic."""
    yield from _on_other_topics(case)
    takers = [handler for handler in case.graph.handlers if handler.earlier]
    past = past_of(case.graph, case.meter.check) if takers else {}
    for handler in takers:
        before = precede(case.graph, past, handler)
        for parameter in handler.parameters:
            if parameter.role == "earlier" and not parameter.optional and before.isdisjoint(parameter.types):
                yield _not_before(case, handler, parameter.name, parameter.types)


def _not_before(case: Case, handler: HandlerEntry, name: str, types: tuple[str, ...]) -> Finding:
    classes = " | ".join(short_name(each) for each in types)
    code = signature(
        case, handler, [replace(p, optional=True) if p.name == name else p for p in handler.parameters]
    )
    return RULE.finding(
        case.graph.name,
        f"`{handler.name}` takes {classes} as earlier, which need not have come",
        at(handler),
        why="nothing that calls it follows from that event in every run",
        help="join it, or let it be missing:",
        code=code,
        steps=(handler.name, *types),
    )


def _on_other_topics(case: Case) -> Iterator[Finding]:
    graph = case.graph
    for name, handlers in sorted(graph.consumers.items()):
        other = "" if name in case.emitted or name in graph.imports else elsewhere(case, name)
        if other:
            yield RULE.finding(
                graph.name,
                f"{listed([each.name for each in handlers])} of saga {graph.name!r} "
                f"{plural(handlers, 'waits', 'wait')} for {short_name(name)} of saga {other!r}",
                at(handlers[0]),
                why="it is published on another topic, under another saga's key, and never comes here",
                help=f"import it: External({short_name(name)}, topic=…, saga_id=…)",
                steps=(*(each.name for each in handlers), name),
                related=tuple(map(at, handlers[1:])),
            )


def in_wrong_saga(each: Misplaced) -> Finding:
    """Return the finding on a handler that waits for events of another saga of its participant alone."""
    handler = each.handler
    events = sorted(handler.trigger.types)
    return RULE.finding(
        handler.saga,
        f"`{handler.name}` is of saga {handler.saga!r}, and waits for {enumerated(map(short_name, events))} "
        f"of saga {each.saga!r}",
        at(handler),
        why=f"it is never called, as {plural(events, 'that event', 'these events')} and what it emits belong "
        "to the other saga",
        help=f"declare it in that saga: saga= the Saga named {each.saga!r}",
        steps=(handler.name, *events),
    )
