"""CHO207 double-compensation: a compensation, or an action, takes effect twice in one saga.

Why it is bad: money is refunded twice. The protocol makes this impossible: a step runs at most once in a
saga, and so does its compensation, whatever is delivered again. This rule checks the protocol on the model
of your saga.

For example, a run with two refunds:

    3 payments.refund   undone   ShipmentFailed    -> PaymentRefunded
    4 payments.refund   undone   ShipmentCancelled -> PaymentRefunded

How to fix it: this is a defect of choreo: report it, with the trace.
"""

from __future__ import annotations

from collections.abc import Iterator

from choreo.verify.case import Case
from choreo.verify.finding import Finding, at
from choreo.verify.properties import Property
from choreo.verify.rule import Rule

RULE = Rule(
    "CHO207",
    "double-compensation",
    __doc__,
    "error",
    of_runs=True,
    properties=(Property.COMPENSATED_ONCE, Property.DONE_ONCE),
)


def check(case: Case) -> Iterator[Finding]:
    """Find runs in which a step succeeds, or is undone, more than once."""
    for each in (
        *case.violations.get(Property.COMPENSATED_ONCE, ()),
        *case.violations.get(Property.DONE_ONCE, ()),
    ):
        done = "undone" if each.property == Property.COMPENSATED_ONCE else "done"
        step = case.graph.steps[each.step]
        yield RULE.finding(
            case.graph.name,
            f"`{each.step}` is {done} twice in one saga",
            at(step.handler or next(iter(step.compensations), None)),
            why="each action and each compensation takes effect at most once",
            help="report it as a defect of choreo's, with this trace",
            steps=(each.step,),
            scenario=each.run.scenario.title,
            run=each.run.lines(each.run.cone(*each.numbers)),
        )
