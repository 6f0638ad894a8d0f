"""CHO206 action-after-compensation: an action takes effect after it was undone or refused.

Why it is bad: what it does then stays for ever: the compensation has run already. The protocol makes this
impossible: a refused or barred action is never run. This rule checks the protocol on the model of your saga.

For example, a late success that starts the shipment again:

    1 payments.charge   refused   Reserved -> PaymentFailed
    2 payments.charge   ok        Reserved -> PaymentProcessed

How to fix it: this is a defect of choreo: report it, with the trace.
"""

from __future__ import annotations

from collections.abc import Iterator

from choreo.verify.case import Case
from choreo.verify.finding import Finding, at
from choreo.verify.properties import Property
from choreo.verify.rule import Rule

RULE = Rule(
    "CHO206",
    "action-after-compensation",
    __doc__,
    "error",
    of_runs=True,
    properties=(Property.NO_LATE_ACTION,),
)


def check(case: Case) -> Iterator[Finding]:
    """Find runs in which a step succeeds after it had failed, or was undone."""
    for each in case.violations.get(Property.NO_LATE_ACTION, ()):
        what = f"`{each.step}` takes effect after it was undone or refused"
        step = case.graph.steps[each.step]
        yield RULE.finding(
            case.graph.name,
            what,
            at(step.handler),
            why="nothing undoes it any more",
            help="report it as a defect of choreo's, with this trace",
            steps=(each.step,),
            scenario=each.run.scenario.title,
            run=each.run.lines(each.run.cone(*each.numbers)),
        )
