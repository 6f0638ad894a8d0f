"""CHO108 starved-join: a join waits for events that never come in the same run.

Why it is bad: the handler is never called, and the saga stops before it.

For example, where `charge` returns either `PaymentProcessed` or `PaymentDeferred`:

    @shipping.action(fails=ShipmentFailed)
    def create(paid: PaymentProcessed, deferred: PaymentDeferred, ctx: Context) -> ShipmentCreated: ...

How to fix it: join the outcomes of steps that all run; where either event is enough, write `A | B`.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

from choreo.events import short_name
from choreo.manifest import HandlerEntry
from choreo.outcome import COMPENSATED, TIMED_OUT
from choreo.verify.case import Case
from choreo.verify.finding import Finding, at
from choreo.verify.properties import Property
from choreo.verify.rule import Rule

RULE = Rule(
    "CHO108",
    "starved-join",
    __doc__,
    "error",
    unless=("CHO101", "CHO102", "CHO107", "CHO109", "CHO112", "CHO401"),
    properties=(Property.FED_JOINS,),
)


def check(case: Case) -> Iterator[Finding]:
    """Find joins of which every alternative needs two outcomes that exclude each other."""
    for handler in case.graph.handlers:
        if handler.task != "compensation" and handler.trigger:
            rivals = [_rivals(case, option) for option in handler.trigger]
            if rivals[0] and all(rivals):
                yield _finding(case, handler, rivals[0])


def _finding(case: Case, handler: HandlerEntry, rivals: tuple[str, str, str]) -> Finding:
    first, second, why = rivals
    return RULE.finding(
        case.graph.name,
        f"`{handler.name}` waits for {short_name(first)} and {short_name(second)}, which never come both",
        at(handler),
        why=why,
        help=f"write {short_name(first)} | {short_name(second)} for the one or the other",
        steps=(handler.name,),
    )


def _rivals(case: Case, option: frozenset[str]) -> tuple[str, str, str] | None:
    """Return two events of a join that exclude each other, and why."""
    for first, second in combinations(sorted(option), 2):
        (one, how), (other, otherwise) = (case.graph.outcome.get(name, ("", "")) for name in (first, second))
        if not one or not other or {how, otherwise} & {COMPENSATED, TIMED_OUT}:
            continue
        if one == other:
            return first, second, f"they are two outcomes of `{one}`, which has one"
        if case.order.are_exclusive(case.graph.steps[one], case.graph.steps[other]):
            return first, second, f"a choice before them leads to `{one}` or to `{other}`"
    return None
