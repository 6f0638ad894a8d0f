"""CHO303 deadline-too-short: a deadline may pass although every step that it waits for keeps its timeout.

Why it is bad: it rolls back sagas in which nothing is wrong.

For example, where `reserve` has 2 minutes and `charge` 5:

    @orders.deadline(of="payments.charge", within=timedelta(minutes=5))     # after OrderCreated
    def payment_is_late(event: OrderCreated, ctx: Context) -> PaymentTimedOut: ...

How to fix it: make it longer than the sum of the timeouts on the way to its step, or shorten these.
"""

from __future__ import annotations

from collections.abc import Iterator

from choreo.manifest import HandlerEntry
from choreo.verify.case import Case
from choreo.verify.finding import Finding, at
from choreo.verify.properties import Property
from choreo.verify.rule import UNCLEAR, Rule

RULE = Rule(
    "CHO303",
    "deadline-too-short",
    __doc__,
    "warning",
    unless=UNCLEAR,
    properties=(Property.SUFFICIENT_DEADLINE,),
)


def check(case: Case) -> Iterator[Finding]:
    """Find deadlines that are shorter than the longest way from what arms them to their step."""
    for deadline in case.graph.deadlines:
        longest = _longest(case, deadline.step, frozenset().union(*deadline.trigger), {})
        if deadline.within_ms is not None and longest > deadline.within_ms:
            yield _finding(case, deadline, longest)


def _finding(case: Case, deadline: HandlerEntry, longest: int) -> Finding:
    given = _duration(deadline.within_ms or 0)
    return RULE.finding(
        case.graph.name,
        f"`{deadline.name}` waits {given}, and what it waits for may take {_duration(longest)}",
        at(deadline),
        why=f"the timeouts on the way to `{deadline.step}` add up to more",
        help=f"within=timedelta(seconds={longest / 1000:g}) or more, or shorter timeouts",
        steps=(deadline.name,),
    )


def _duration(milliseconds: int) -> str:
    seconds = milliseconds / 1000
    return f"{seconds / 60:g} min" if seconds >= 60 else f"{seconds:g} s"


def _longest(case: Case, name: str, armed_by: frozenset[str], known: dict[str, int]) -> int:
    """Return the sum of the timeouts on the longest way from the arming event to the end of a step."""
    if name in known:
        return known[name]
    known[name] = 0
    step = case.graph.steps.get(name)
    if step is None or step.handler is None:
        return 0
    owners = (case.graph.outcome.get(event, ("", ""))[0] for event in _before(step.trigger, armed_by))
    before = max((_longest(case, owner, armed_by, known) for owner in owners if owner != name), default=0)
    known[name] = before + (step.handler.timeout_ms or 0)
    return known[name]


def _before(trigger: tuple[frozenset[str], ...], armed_by: frozenset[str]) -> frozenset[str]:
    return frozenset[str]().union(*trigger) - armed_by
