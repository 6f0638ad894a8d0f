"""CHO501 schema-incompatible: a reader can't read what a writer of the same event writes.

Why it is bad: every such event becomes a dead letter of the reader.

For example, in the repositories of the writer and of the reader:

    @event(namespace="shop")
    class OrderCreated:                         # the writer's
        order_id: str

    @event(namespace="shop")
    class OrderCreated:                         # the reader's
        order_id: str
        customer: str

How to fix it: new fields need a default; types may only be widened, and readers are deployed first. See
Apache Avro 1.12, "Schema Resolution".
"""

from __future__ import annotations

from collections.abc import Iterator

from choreo.events import short_name
from choreo.verify.analysis.schemas import readings
from choreo.verify.case import Case
from choreo.verify.finding import Finding, at
from choreo.verify.properties import Property
from choreo.verify.rule import Rule

RULE = Rule("CHO501", "schema-incompatible", __doc__, "error", properties=(Property.READABLE_EVENTS,))


def check(case: Case) -> Iterator[Finding]:
    """Find readers of an event whose schema can't read what its writer writes."""
    for each in readings(case.choreography, case.graph):
        problems = [p for p in case.compare(each.written, each.read) if not p.lossy]
        if problems:
            yield RULE.finding(
                case.graph.name,
                f"{each.readers} can't read the {short_name(each.event)} that {each.writer} writes",
                at(each.handlers[0]),
                why="; ".join(map(str, problems[:3])),
                help="give new fields a default, widen types only, and deploy readers first",
                steps=(each.readers, each.event),
                related=tuple(map(at, each.handlers[1:])),
            )
