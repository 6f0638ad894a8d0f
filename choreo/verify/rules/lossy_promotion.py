"""CHO503 lossy-promotion: bytes are written, and read as a string.

Why it is bad: Avro allows it, but bytes need not be UTF-8: an event with other bytes becomes a dead letter,
rarely enough to pass all tests.

For example:

    class Signed:                               # the writer's
        signature: bytes

    class Signed:                               # the reader's
        signature: str

How to fix it: read bytes as bytes, and decode them where you know what they are.
"""

from __future__ import annotations

from collections.abc import Iterator

from choreo.events import short_name
from choreo.verify.analysis.schemas import Unreadable, readings
from choreo.verify.case import Case
from choreo.verify.finding import Finding, at
from choreo.verify.rule import Rule

RULE = Rule("CHO503", "lossy-promotion", __doc__, "warning")


def check(case: Case) -> Iterator[Finding]:
    """Find bytes that somebody reads as a string."""
    for each in readings(case.choreography, case.graph):
        for version in (each.written, *each.earlier):
            lossy = [p for p in case.compare(version, each.read) if is_promotion(p)]
            if lossy:
                yield RULE.finding(
                    case.graph.name,
                    f"bytes of {short_name(each.event)} are read as a string by {each.readers}",
                    at(each.handlers[0]),
                    why=str(lossy[0]),
                    help="read them as bytes",
                    steps=(each.readers, each.event),
                    related=tuple(map(at, each.handlers[1:])),
                )
                break


def is_promotion(problem: Unreadable) -> bool:
    """Whether a problem is the promotion of bytes to a string, which the specification allows."""
    return problem.reason.startswith("bytes were written")
