"""CHO205 compensate-before-action: a compensation takes effect although its action has not.

Why it is bad: it undoes what was not done: a refund without a charge. The protocol makes this impossible: a
compensation that is called early bars its action, and the action answers with its failure. This rule checks
the protocol on the model of your saga.

For example, a run in which a refund comes first:

    1 payments.refund   undone   ShipmentFailed -> PaymentRefunded
    2 payments.charge   ok       Reserved       -> PaymentProcessed

How to fix it: this is a defect of choreo: report it, with the trace. Until then, let an event after the
action call the compensation.
"""

from __future__ import annotations

from collections.abc import Iterator

from choreo.verify.case import Case
from choreo.verify.finding import Finding, at
from choreo.verify.properties import Property
from choreo.verify.rule import Rule

RULE = Rule(
    "CHO205", "compensate-before-action", __doc__, "error", of_runs=True, properties=(Property.ACTION_FIRST,)
)


def check(case: Case) -> Iterator[Finding]:
    """Find runs in which a step is undone before it has any outcome."""
    for each in case.violations.get(Property.ACTION_FIRST, ()):
        what = f"`{each.step}` is undone before it was done"
        step = case.graph.steps[each.step]
        yield RULE.finding(
            case.graph.name,
            what,
            at(next(iter(step.compensations), step.handler)),
            why="a compensation must wait for its action, or bar it",
            help="report it as a defect of choreo's, with this trace",
            steps=(each.step,),
            scenario=each.run.scenario.title,
            run=each.run.lines(each.run.cone(*each.numbers)),
        )
