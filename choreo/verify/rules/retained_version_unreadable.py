"""CHO502 retained-version-unreadable: a reader can't read an earlier version of an event, which a topic may
hold.

Why it is bad: whoever reads the topic again (a new participant, a rebuilt one, a replay) meets those events,
and each becomes a dead letter.

For example, where `schemas/history` has an `OrderCreated` without `customer`:

    @event(namespace="shop")
    class OrderCreated:
        order_id: str
        customer: str                           # no default

How to fix it: give the new field a default. Once no topic holds the old version, delete its file in
`schemas/history`.
"""

from __future__ import annotations

from collections.abc import Iterator

from choreo.events import short_name
from choreo.verify.analysis.schemas import readings
from choreo.verify.case import Case
from choreo.verify.finding import Finding, at
from choreo.verify.properties import Property
from choreo.verify.rule import Rule

RULE = Rule(
    "CHO502",
    "retained-version-unreadable",
    __doc__,
    "error",
    unless=("CHO501",),
    properties=(Property.READABLE_EVENTS,),
)


def check(case: Case) -> Iterator[Finding]:
    """Find readers whose schema can't read a version that is kept."""
    for each in readings(case.choreography, case.graph):
        for version in each.earlier:
            problems = [p for p in case.compare(version, each.read) if not p.lossy]
            if problems:
                yield RULE.finding(
                    case.graph.name,
                    f"{each.readers} can't read an earlier version of {short_name(each.event)}",
                    at(each.handlers[0]),
                    why="; ".join(map(str, problems[:3])),
                    help="give new fields a default, or delete the version once no log holds it",
                    steps=(each.readers, each.event),
                    related=tuple(map(at, each.handlers[1:])),
                )
                break
