"""compensate-before-action: a compensation takes effect although its action has not.

Why it is bad: it undoes what was not done: a refund without a charge. The protocol makes it impossible: a
compensation that is called early bars its action, and the action answers with its failure. This rule holds
the protocol to it, on the model of your saga.

For example, a run in which a refund comes first:

    1 payments.refund   undone   ShipmentFailed -> PaymentRefunded
    2 payments.charge   ok       Reserved       -> PaymentProcessed

How to mend it: it is a defect of choreo's: report it, with the trace. Until then, let an event after the
action call the compensation.
"""

from __future__ import annotations

from collections.abc import Iterator

from choreo.outcome import COMPENSATED, FAILED, SUCCEEDED, TIMED_OUT
from choreo.verify.case import Case
from choreo.verify.finding import Finding, at
from choreo.verify.rule import Rule

RULE = Rule(__name__, __doc__ or "", "error", of_runs=True)


def check(case: Case) -> Iterator[Finding]:
    """Find runs in which a step is confirmed undone before it has any outcome."""
    for step in case.graph.steps.values():
        for run in case.runs:
            undone = run.index(step.name, COMPENSATED)
            ends = [run.index(step.name, outcome) for outcome in (SUCCEEDED, FAILED, TIMED_OUT)]
            if undone < 0 or any(0 <= end < undone for end in ends):
                continue
            yield RULE.finding(
                case.graph.name,
                f"`{step.name}` is undone before it was done",
                at(next(iter(step.undos), step.handler)),
                why="a compensation must wait for its action, or bar it",
                help="report it as a defect of choreo's, with this trace",
                steps=(step.name,),
                scenario=run.scenario.title,
                trace=run.lines(run.cone(undone)),
            )
            break
