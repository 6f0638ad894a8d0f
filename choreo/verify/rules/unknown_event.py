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

from collections.abc import Iterable, Iterator

from choreo.events import short_name
from choreo.manifest import HandlerEntry
from choreo.verify.analysis.likeness import event_like
from choreo.verify.case import Case
from choreo.verify.finding import Finding, at, enumerated, plural
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
    names = (
        name
        for name in sorted(case.graph.consumers)
        if name not in case.settled and not is_known_elsewhere(case, name)
    )
    for handler, events in waiting_for(case, names):
        yield RULE.finding(
            case.graph.name,
            f"`{handler.name}` waits for {enumerated(events)}, which {_lack(case, events[0])}",
            at(handler),
            why=f"nothing emits {plural(events, 'it', 'them')}, so the handler is never called",
            help="; ".join(
                dict.fromkeys(_help(case, name, event_like(case.graph, name, handler)) for name in events)
            ),
            steps=(handler.name, *events),
        )


def waiting_for(case: Case, names: Iterable[str]) -> list[tuple[HandlerEntry, list[str]]]:
    """Return the handlers that wait for events which nothing emits, each with these events.

    One that waits for a compensation that is missing is left out: CHO201 says so.
    """
    found: dict[str, tuple[HandlerEntry, list[str]]] = {}
    for name in names:
        for handler in case.graph.consumers[name]:
            if not waits_for_missing_compensation(case.graph, handler):
                found.setdefault(handler.name, (handler, []))[1].append(name)
    return list(found.values())


def _lack(case: Case, name: str) -> str:
    is_export = name in case.graph.exports
    return "is declared as an export, and nothing emits it" if is_export else "no other participant knows"


def _help(case: Case, name: str, meant: str) -> str:
    if name in case.graph.exports:
        return as_export(case, name)
    if meant:
        named = meant if short_name(meant) == short_name(name) else short_name(meant)
        return f"did you mean {named}?"
    return f"give the manifest of whoever emits {short_name(name)}, too"


def as_export(case: Case, name: str) -> str:
    """Return the help for an event that is declared `External` to be imported, and without ``saga_id=``."""
    owners = [m.participant for m in case.choreography.manifests if any(e.event == name for e in m.external)]
    owner = f" of {owners[0]}" if owners else ""
    return (
        f"External({short_name(name)}){owner} has no saga_id=, so it is an export: "
        "with saga_id=… it is imported from its topic"
    )


def is_known_elsewhere(case: Case, name: str) -> bool:
    """Whether more than one participant knows an event."""
    return sum(name in manifest.schemas for manifest in case.choreography.manifests) > 1
