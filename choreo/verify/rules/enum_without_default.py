"""CHO505 enum-without-default: an enum of an event has no default for readers that don't know a new symbol.

Why it is bad: when a symbol is added, every reader that is not yet deployed with it turns such events into
dead letters.

For example, a schema as another language's generator writes it:

    {"type": "enum", "name": "Speed", "symbols": ["NORMAL", "EXPRESS"]}

How to fix it: add a member `UNKNOWN` to the enum: it becomes the default that such readers read.
"""

from __future__ import annotations

from collections.abc import Iterator

from choreo.events import short_name
from choreo.manifest import HandlerEntry
from choreo.verify.analysis.schemas import Reading, enums, readings
from choreo.verify.case import Case
from choreo.verify.finding import Finding, at
from choreo.verify.rule import Rule

RULE = Rule("CHO505", "enum-without-default", __doc__, "warning")


def check(case: Case) -> Iterator[Finding]:
    """Find enums without a default in events that another participant reads; each enum once."""
    manifests = {manifest.participant: manifest for manifest in case.choreography.manifests}
    reported: set[str] = set()
    for each in readings(case.choreography, case.graph):
        foreign = [handler for handler in each.handlers if handler.participant != each.writer]
        for handler in foreign[:1]:
            for name, symbols in enums(manifests[handler.participant], each.event):
                if name not in reported:
                    reported.add(name)
                    yield _finding(case, each, handler, name, symbols)


def _finding(case: Case, each: Reading, reader: HandlerEntry, name: str, symbols: tuple[str, ...]) -> Finding:
    return RULE.finding(
        case.graph.name,
        f"{short_name(each.event)} has the enum {short_name(name)}, which has no default",
        at(reader),
        why=f"{reader.participant} could not read a symbol that {each.writer or 'its writer'} adds to "
        f"{', '.join(symbols)}",
        help="add a member UNKNOWN: it becomes the default",
        steps=(name,),
    )
