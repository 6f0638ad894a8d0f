"""CHO503 lossy-promotion: what is written is read as a type that can't hold every value of it.

Why it is bad: Avro allows it, but bytes need not be UTF-8, and a float or a double has fewer digits than a
long. An event with another value becomes a dead letter, rarely enough to pass all tests.

For example:

    class Signed:                               # the writer's
        signature: bytes
        amount: int

    class Signed:                               # the reader's
        signature: str
        amount: float

How to fix it: read what is written by its own type, and convert it where you know which values it has.
"""

from __future__ import annotations

from collections.abc import Iterator

from choreo.events import short_name
from choreo.verify.analysis.schemas import readings
from choreo.verify.case import Case
from choreo.verify.finding import Finding, at
from choreo.verify.rule import Rule

RULE = Rule("CHO503", "lossy-promotion", __doc__, "warning")


def check(case: Case) -> Iterator[Finding]:
    """Find values that somebody reads as a type that doesn't hold all of them."""
    for each in readings(case.choreography, case.graph):
        for version in (each.written, *each.earlier):
            lossy = [problem for problem in case.compare(version, each.read) if problem.lossy]
            if lossy:
                where = (
                    f"{lossy[0].path} of {short_name(each.event)}"
                    if lossy[0].path
                    else short_name(each.event)
                )
                yield RULE.finding(
                    case.graph.name,
                    f"{where}: {lossy[0].lossy} by {each.readers}",
                    at(each.handlers[0]),
                    why="; ".join(map(str, lossy[:3])),
                    help="read it by the type that is written",
                    steps=(each.readers, each.event),
                    related=tuple(map(at, each.handlers[1:])),
                )
                break
