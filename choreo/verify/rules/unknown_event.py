"""CHO101 unknown-event: a handler waits for an event that no other participant knows.

Why it is bad: nobody will ever publish it, so the handler is never called. Mostly its name is misspelt, or
the class was copied into another namespace.

For example, where the contract says `PaymentProcessed`:

    @event(namespace="shop")
    class PaymentProcesed: ...                       # misspelt: another event

    @shipping.action(fails=ShipmentFailed)
    def create(event: PaymentProcesed, ctx: Context) -> ShipmentCreated: ...

How to fix it: import the event class from the saga's contract, or add the manifest of the participant that
emits it.
"""

from __future__ import annotations

from collections.abc import Iterator
from difflib import get_close_matches

from choreo.events import short_name
from choreo.verify.case import Case
from choreo.verify.finding import Finding, at
from choreo.verify.properties import Property
from choreo.verify.rule import Rule
from choreo.verify.rules.missing_compensation import waits_for_missing_compensation

RULE = Rule(
    "CHO101",
    "unknown-event",
    __doc__,
    "error",
    unless=("CHO112", "CHO702"),
    properties=(Property.EMITTED_TRIGGERS,),
)


def check(case: Case) -> Iterator[Finding]:
    """Find triggers that only one participant knows."""
    graph = case.graph
    for name, handlers in sorted(graph.consumers.items()):
        if name in case.settled or is_known_elsewhere(case, name):
            continue
        meant = get_close_matches(name, sorted(case.emitted), 1, 0.6)
        for handler in handlers:
            if waits_for_missing_compensation(graph, handler):
                continue
            yield RULE.finding(
                graph.name,
                f"`{handler.name}` waits for {name}, which no other participant knows",
                at(handler),
                why="nothing emits it, so the handler is never called",
                help=f"did you mean {meant[0]}?"
                if meant
                else f"give the manifest of whoever emits {short_name(name)}, too",
                steps=(handler.name, name),
            )


def is_known_elsewhere(case: Case, name: str) -> bool:
    """Whether more than one participant knows an event."""
    return sum(name in manifest.schemas for manifest in case.choreography.manifests) > 1
