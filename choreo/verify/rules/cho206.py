"""action-after-compensation: an action takes effect after it was undone or refused.

Why it is bad: what it does then stays for ever: the compensation has run already. The protocol makes it
impossible: a refused or barred action is never run. This rule holds the protocol to it, on the model of
your saga.

For example, a late success that starts the shipment again:

    1 payments.charge   refused   Reserved -> PaymentFailed
    2 payments.charge   ok        Reserved -> PaymentProcessed

How to mend it: it is a defect of choreo's: report it, with the trace.
"""

from __future__ import annotations

from collections.abc import Iterator

from choreo.outcome import COMPENSATED, FAILED, SUCCEEDED
from choreo.verify.case import Case
from choreo.verify.finding import Finding, at
from choreo.verify.rule import Rule

RULE = Rule(__name__, __doc__ or "", "error", of_runs=True)


def check(case: Case) -> Iterator[Finding]:
    """Find runs in which a step succeeds after it had failed, or was undone."""
    for step in case.graph.steps.values():
        for run in case.runs:
            done = run.index(step.name, SUCCEEDED)
            before = [run.index(step.name, outcome) for outcome in (FAILED, COMPENSATED)]
            if done < 0 or not any(0 <= number < done for number in before):
                continue
            yield RULE.finding(
                case.graph.name,
                f"`{step.name}` takes effect after it was undone or refused",
                at(step.handler),
                why="nothing undoes it any more",
                help="report it as a defect of choreo's, with this trace",
                steps=(step.name,),
                scenario=run.scenario.title,
                trace=run.lines(run.cone(done)),
            )
            break
