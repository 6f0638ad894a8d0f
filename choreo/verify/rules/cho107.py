"""cycle: a step is triggered by its own consequence.

Why it is bad: a step runs at most once in a saga, so the second time it is not called, and the saga stops
there.

For example, a check that sends the order round again:

    @stock.action(fails=Unavailable)
    def reserve(event: OrderCreated | RecountAsked, ctx: Context) -> Reserved: ...

    @audit.action(fails=AuditFailed)
    def check(event: Reserved, ctx: Context) -> Approved | RecountAsked: ...

How to mend it: give the repetition a saga of its own, or retry inside of the step.
"""

from __future__ import annotations

from collections.abc import Iterator

from choreo.verify.case import Case
from choreo.verify.finding import Finding, at
from choreo.verify.rule import Rule

RULE = Rule(__name__, __doc__ or "", "error", unless=("CHO109", "CHO112"))


def check(case: Case) -> Iterator[Finding]:
    """Find steps that lead back to themselves; each cycle once."""
    told: set[frozenset[str]] = set()
    for step in case.graph.steps.values():
        if step.name not in case.order.after[step.name]:
            continue
        cycle = frozenset(name for name in case.order.after[step.name] if step.name in case.order.after[name])
        if cycle in told:
            continue
        told.add(cycle)
        others = sorted(cycle - {step.name})
        yield RULE.finding(
            case.graph.name,
            f"`{step.name}` is triggered by its own consequence",
            at(step.handler),
            why=f"it leads to {', '.join(f'`{name}`' for name in others)}, and that leads back"
            if others
            else "its own event triggers it",
            help="retry inside of the step, or start another saga",
            steps=tuple(sorted(cycle)),
            related=tuple(at(case.graph.steps[name].handler) for name in others),
        )
