"""CHO113 hidden-orchestrator: one participant's events trigger nearly all actions of the others.

Why it is bad: it is an orchestrator in all but name: every change of the flow changes it, and when it is
down nothing moves. It is reported where it triggers 80 % or more of the others' actions, in at least three
other participants.

For example, where `desk` turns every answer into the next command:

    @desk.action(fails=ChargeNotAsked)
    def ask_to_charge(event: Reserved, ctx: Context) -> ChargeAsked: ...

    @payments.action(fails=PaymentFailed)
    def charge(event: ChargeAsked, ctx: Context) -> PaymentProcessed: ...

How to fix it: let each step be triggered by the outcome of the step before it: `charge` by `Reserved`.
"""

from __future__ import annotations

from collections.abc import Iterator

from choreo.graph import Step
from choreo.verify.case import Case
from choreo.verify.finding import Finding, at, enumerated
from choreo.verify.rule import Rule

RULE = Rule("CHO113", "hidden-orchestrator", __doc__, "warning", unless=("CHO112",))

SHARE = 0.8
"""The least share of the others' actions that makes a participant an orchestrator."""
OTHERS = 3
"""The least number of other participants that makes it one."""


def check(case: Case) -> Iterator[Finding]:
    """Find a participant that triggers most actions of at least three others."""
    actions = [step for step in case.graph.steps.values() if step.handler]
    callers = {step.name: _callers(case, step) for step in actions}
    for owner in case.graph.participants:
        others = [step for step in actions if step.participant != owner]
        called = [step for step in others if owner in callers[step.name]]
        commanded = sorted({step.participant for step in called})
        if len(commanded) < OTHERS or len(called) < SHARE * len(others):
            continue
        own = [step for step in actions if step.participant == owner]
        yield RULE.finding(
            case.graph.name,
            f"{owner} triggers {len(called)} of the {len(others)} actions of the others",
            at(own[0].handler if own else None),
            why=f"{enumerated(commanded)} wait for its events, not for each other's",
            help="let each step be triggered by the outcome of the step before it",
            steps=(owner,),
            related=tuple(at(step.handler) for step in called),
        )


def _callers(case: Case, step: Step) -> set[str]:
    """Return the participants whose events trigger a step; the event that starts the saga doesn't count."""
    graph = case.graph
    names = step.trigger.types - {graph.contract.starts}
    owners = (graph.outcome[name][0] for name in names if name in graph.outcome)
    return {graph.steps[owner].participant for owner in owners if owner in graph.steps}
