"""CHO210 foreign-compensation: a participant declares the compensation of another participant's step.

Why it is bad: the effects of the step are in the other's database. Only its owner knows whether it was done,
may bar it, and can undo it and publish that in one transaction.

For example, in the manifest of `orders`:

    {"name": "orders.refund", "task": "compensation", "step": "payments.charge", …}

How to fix it: declare the compensation where the action is, with `of=` the action.
"""

from __future__ import annotations

from collections.abc import Iterator

from choreo.outcome import START
from choreo.verify.case import Case
from choreo.verify.finding import Finding, at
from choreo.verify.properties import Property
from choreo.verify.rule import Rule

RULE = Rule("CHO210", "foreign-compensation", __doc__, "error", properties=(Property.ONE_COMPENSATION,))


def check(case: Case) -> Iterator[Finding]:
    """Find compensations of steps that their participant doesn't own."""
    for handler in case.graph.handlers:
        owner = handler.step.partition(".")[0]
        if handler.task == "compensation" and handler.step != START and owner != handler.participant:
            step = case.graph.steps.get(handler.step)
            of = step.function if step else handler.step.partition(".")[2]
            yield RULE.finding(
                case.graph.name,
                f"`{handler.name}` compensates `{handler.step}`, which is {owner}'s",
                at(handler),
                why=f"only {owner} knows whether it was done",
                help=f"declare it in {owner}: @{owner}.compensation(of={of})",
                steps=(handler.name, handler.step),
                related=(at(step.handler),) if step and step.handler else (),
            )
