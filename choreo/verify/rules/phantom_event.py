"""CHO102 phantom-event: a handler waits for an event that is declared, and that nothing emits.

Why it is bad: the handler is never called. Mostly a step was removed, or now emits another event, and
the handlers that wait for it were not changed.

For example, where no handler returns `PaymentSettled` any more:

    @shipping.action(fails=ShipmentFailed)
    def create(event: PaymentSettled, ctx: Context) -> ShipmentCreated: ...

How to fix it: let a handler emit it, declare it `External`, or drop it from the trigger.
"""

from __future__ import annotations

from collections.abc import Iterator

from choreo.events import short_name
from choreo.manifest import HandlerEntry
from choreo.verify.analysis.likeness import event_like
from choreo.verify.case import Case
from choreo.verify.finding import Finding, at, enumerated, plural
from choreo.verify.properties import Property
from choreo.verify.rule import Rule
from choreo.verify.rules.unknown_event import as_export, is_known_elsewhere, waiting_for

RULE = Rule(
    "CHO102",
    "phantom-event",
    __doc__,
    "error",
    unless=("CHO112", "CHO702"),
    properties=(Property.EMITTED_TRIGGERS,),
)


def check(case: Case) -> Iterator[Finding]:
    """Find triggers that are declared somewhere, and emitted nowhere in this saga."""
    graph = case.graph
    names = [
        name
        for name in sorted(graph.consumers)
        if name not in case.settled and is_known_elsewhere(case, name) and not elsewhere(case, name)
    ]  # of the others CHO101 and CHO401 say so
    for handler, events in waiting_for(case, names):
        exported = [name for name in events if name in graph.exports]
        yield RULE.finding(
            graph.name,
            f"`{handler.name}` waits for {enumerated(events)}, which "
            f"{'is declared as an export, and ' if exported else ''}nothing emits",
            at(handler),
            why=f"{plural(events, 'the event is', 'the events are')} declared, and no action, compensation "
            f"or deadline returns {plural(events, 'it', 'them')}",
            help=as_export(case, exported[0]) if exported else _help(case, events[0], handler),
            steps=(handler.name, *events),
        )


def _help(case: Case, name: str, handler: HandlerEntry) -> str:
    meant = event_like(case.graph, name, handler)
    others = "let a handler emit it, import it as External, or drop it from the trigger"
    return f"did you mean {short_name(meant)}? Else {others}" if meant else others


def elsewhere(case: Case, name: str) -> str:
    """Return another saga in which an event is emitted; empty where there is none."""
    sagas = (graph for graph in case.choreography.sagas if graph.name != case.graph.name)
    return next((graph.name for graph in sagas if name in graph.outcome), "")
