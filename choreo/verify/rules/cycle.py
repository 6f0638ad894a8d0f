"""CHO107 cycle: a step is triggered by its own consequence.

Why it is bad: a step runs at most once in a saga, so the second time it is not called, and the saga stops
there.

For example, a check that asks for the reservation to be repeated:

    @stock.action(fails=Unavailable)
    def reserve(event: OrderCreated | RecountAsked, ctx: Context) -> Reserved: ...

    @audit.action(fails=AuditFailed)
    def check(event: Reserved, ctx: Context) -> Approved | RecountAsked: ...

How to fix it: give the repetition a saga of its own, or retry inside the step.
"""

from __future__ import annotations

from collections.abc import Iterator

from choreo.verify.case import Case
from choreo.verify.finding import Finding, at, listed, plural
from choreo.verify.properties import Property
from choreo.verify.rule import Rule

RULE = Rule("CHO107", "cycle", __doc__, "error", unless=("CHO109", "CHO112"), properties=(Property.ACYCLIC,))


def check(case: Case) -> Iterator[Finding]:
    """Find circles of steps that the start leads to; each once."""
    graph = case.graph
    for names in case.order.cycles:
        first, *others = (graph.steps[name] for name in names)
        if not any(graph.steps[name].trigger.satisfied(case.order.reachable) for name in names):
            continue  # nothing leads into it: CHO104
        yield RULE.finding(
            graph.name,
            f"`{first.name}` is triggered by its own consequence",
            at(first.handler),
            why=f"it leads to {listed(other.name for other in others)}, and "
            f"{plural(others, 'that leads', 'these lead')} back"
            if others
            else "its own event triggers it",
            help="retry inside of the step, or start another saga",
            steps=tuple(sorted(names)),
            related=tuple(at(other.handler) for other in others),
        )
