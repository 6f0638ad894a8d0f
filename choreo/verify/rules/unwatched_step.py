"""CHO301 unwatched-step: a participant waits for another's step, and nothing limits for how long.

Why it is bad: if the step hangs, the saga hangs, and no participant notices.

For example, where another participant waits for `PaymentProcessed`:

    @payments.action(fails=PaymentFailed, timeout=None)
    def charge(event: Reserved, ctx: Context) -> PaymentProcessed: ...

How to fix it: give the action a `timeout=`, or declare a deadline on it where it is waited for. Pivots and
retriable steps are exempt: they can't be given up.
"""

from __future__ import annotations

from collections.abc import Iterator

from choreo.verify.case import Case
from choreo.verify.finding import Finding, at
from choreo.verify.properties import Property
from choreo.verify.rule import Rule

RULE = Rule(
    "CHO301", "unwatched-step", __doc__, "warning", unless=("CHO112",), properties=(Property.WATCHED_STEPS,)
)


def check(case: Case) -> Iterator[Finding]:
    """Find compensatable steps without a timeout, and without a deadline on them or on a step after them."""
    graph = case.graph
    watched = {deadline.step for deadline in graph.deadlines}
    for step in graph.steps.values():
        if step.kind != "compensatable" or not step.handler or step.handler.timeout_ms is not None:
            continue
        waiting = {
            each.participant
            for name in (*step.successes, *step.failures)
            for each in graph.consumers.get(name, ())
            if each.task != "observer"
        } - {step.participant}
        if not waiting or step.name in watched or watched & case.order.after[step.name]:
            continue
        verb = "wait" if len(waiting) > 1 else "waits"
        yield RULE.finding(
            graph.name,
            f"{', '.join(sorted(waiting))} {verb} for `{step.name}` without any limit",
            at(step.handler),
            why="it has no timeout, and there is no deadline on it nor on a step after it",
            help="give it timeout=timedelta(…), or declare a deadline on it where it is waited for",
            steps=(step.name,),
        )
