"""hidden-orchestrator: one participant's events call nearly all actions of the others.

Why it is bad: it is an orchestrator that nobody calls so: every change of the flow is a change of it, and
when it is down nothing moves. Then rather have one openly.

How to mend it: let each step be triggered by the outcome of the step before it, not by a command of the
middle.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from choreo.verify.case import Case
from choreo.verify.finding import Finding

SHARE, OTHERS = 0.8, 3


def check(case: Case) -> Iterator[Finding]:
    """Find a participant that triggers 80 % of the actions of at least three others."""
    calls: Counter[str] = Counter()
    called: dict[str, set[str]] = {}
    total: Counter[str] = Counter()
    actions = [step for step in case.graph.steps.values() if step.handler]
    for step in actions:
        owners = {
            case.graph.steps[case.graph.outcome[name][0]].participant
            for option in step.trigger
            for name in option
            if name in case.graph.outcome and name != case.graph.contract.starts
        }
        for owner in owners - {step.participant}:
            calls[owner] += 1
            called.setdefault(owner, set()).add(step.participant)
    for owner in calls:
        total[owner] = sum(step.participant != owner for step in actions)
        if len(called[owner]) >= OTHERS and calls[owner] >= SHARE * total[owner]:
            yield Finding(
                "CHO113",
                "hidden-orchestrator",
                "warning",
                case.graph.name,
                f"{owner} calls {calls[owner]} of {total[owner]} actions of the others",
                next((step.place for step in actions if step.participant == owner), ""),
                why=f"{', '.join(sorted(called[owner]))} wait for its events, not for each other's",
                help="let each step be triggered by the outcome of the step before it",
                steps=(owner,),
            )
