"""CHO303 deadline-too-short: a deadline may pass although every step that it waits for is in time.

Why it is bad: it rolls back sagas in which nothing is wrong.

For example, where `reserve` has 2 minutes and `charge` 5:

    @orders.deadline(of="payments.charge", within=timedelta(minutes=5))     # after OrderCreated
    def payment_is_late(event: OrderCreated, ctx: Context) -> PaymentTimedOut: ...

A step without a timeout counts with all pauses between its attempts (`retry=`).

How to fix it: make it longer than the sum of the timeouts on the way to its step, or shorten these.
"""

from __future__ import annotations

from collections.abc import Iterator

from choreo.graph import Step
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


_MOST_ATTEMPTS = 10_000
"""A schedule with more attempts than this is cut there."""


def check(case: Case) -> Iterator[Finding]:
    """Find deadlines that are shorter than the longest way from what arms them to their step."""
    for deadline in case.graph.deadlines:
        longest = _longest(case, deadline.step, deadline.trigger.types)
        if deadline.within_ms is not None and longest > deadline.within_ms:
            yield _finding(case, deadline, longest)


def _finding(case: Case, deadline: HandlerEntry, longest: int) -> Finding:
    given = _duration(deadline.within_ms or 0)
    return RULE.finding(
        case.graph.name,
        f"`{deadline.name}` waits {given}, and what it waits for may take {_duration(longest)}",
        at(deadline),
        why=f"the timeouts and retries on the way to `{deadline.step}` add up to more",
        help=f"within=timedelta(seconds={longest / 1000:.12g}) or more, or shorter timeouts",
        steps=(deadline.name,),
    )


def _duration(milliseconds: int) -> str:
    seconds = milliseconds / 1000
    return f"{seconds / 60:g} min" if seconds >= 60 else f"{seconds:g} s"


def _longest(case: Case, watched: str, armed_by: frozenset[str]) -> int:
    """Return the sum of what the steps may take on the longest way from the arming event to a step's end."""
    known: dict[str, int] = {}
    entered: set[str] = set()
    waiting = [watched]
    while waiting:
        name = waiting[-1]
        step = case.graph.steps.get(name)
        before = _before(case, step, armed_by) if step else []
        pending = [each for each in before if each not in entered]
        entered.add(name)
        if pending:
            waiting += pending
            continue
        waiting.pop()
        own = _limit(step.handler) if step and step.handler else 0
        known[name] = own + max((known.get(each, 0) for each in before), default=0)
    return known[watched]


def _before(case: Case, step: Step, armed_by: frozenset[str]) -> list[str]:
    """Return the steps that lead to a step, up to the event that arms the deadline."""
    events = sorted(step.trigger.types - armed_by)
    owners = (case.graph.outcome[event][0] for event in events if event in case.graph.outcome)
    return [name for name in dict.fromkeys(owners) if name != step.name]


def _limit(action: HandlerEntry) -> int:
    """Return how long an action may take: its timeout or, without one, all pauses between its attempts."""
    if action.timeout_ms is not None or action.retry is None:
        return action.timeout_ms or 0
    total, pause = 0.0, float(action.retry.delay_ms)
    for _ in range(min(action.retry.attempts, _MOST_ATTEMPTS) - 1):
        total += pause
        pause = min(pause * action.retry.factor, action.retry.longest_ms)
    return round(total)
