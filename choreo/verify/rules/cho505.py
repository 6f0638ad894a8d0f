"""enum-without-default: an event has an enum, and readers that don't know a new symbol have nothing to fall
back on.

Why it is bad: the day a symbol is added, every reader that isn't deployed yet turns such events into dead
letters.

For example, a schema as another language's generator writes it:

    {"type": "enum", "name": "Speed", "symbols": ["NORMAL", "EXPRESS"]}

How to mend it: add a member `UNKNOWN` to the enum: it becomes the default that such readers fall back on.
"""

from __future__ import annotations

from collections.abc import Iterator

from choreo.event import short_name
from choreo.verify.case import Case
from choreo.verify.finding import Finding, at
from choreo.verify.reading import enums, readings
from choreo.verify.rule import Rule

RULE = Rule(__name__, __doc__ or "", "warning")


def check(case: Case) -> Iterator[Finding]:
    """Find enums without a default in what somebody else reads; each enum once."""
    manifests = {manifest.participant: manifest for manifest in case.choreography.manifests}
    told: set[str] = set()
    for each in readings(case):
        if each.reader == each.writer:
            continue
        for name, symbols in enums(manifests[each.reader], each.event):
            if name in told:
                continue
            told.add(name)
            yield RULE.finding(
                case.graph.name,
                f"{short_name(each.event)} has the enum {short_name(name)}, which has no default",
                at(each.handler),
                why=f"{each.reader} could not read a symbol that {each.writer or 'its writer'} adds to "
                f"{', '.join(symbols)}",
                help="add a member UNKNOWN: it becomes the default",
                steps=(name,),
            )
