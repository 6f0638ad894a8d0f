"""double-compensation: a compensation, or an action, takes effect twice in one saga.

Why it is bad: money is given back twice. The protocol makes it impossible: a step runs at most once in a
saga, and so does its compensation, whatever is delivered again. This rule holds the protocol to it, on the
model of your saga.

For example, a run with two refunds:

    3 payments.refund   undone   ShipmentFailed    -> PaymentRefunded
    4 payments.refund   undone   ShipmentCancelled -> PaymentRefunded

How to mend it: it is a defect of choreo's: report it, with the trace.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from choreo.outcome import COMPENSATED, SUCCEEDED
from choreo.verify.case import Case
from choreo.verify.finding import Finding, at
from choreo.verify.rule import Rule

RULE = Rule(__name__, __doc__ or "", "error", of_runs=True)


def check(case: Case) -> Iterator[Finding]:
    """Find runs in which a step succeeds, or is undone, more than once."""
    told: set[str] = set()
    for run in case.runs:
        times = Counter((event.step, event.outcome) for event in run.log)
        for (name, outcome), count in times.items():
            step = case.graph.steps.get(name)
            if count < 2 or outcome not in (SUCCEEDED, COMPENSATED) or step is None or name in told:
                continue
            told.add(name)
            both = [n for n, e in enumerate(run.log) if (e.step, e.outcome) == (name, outcome)]
            yield RULE.finding(
                case.graph.name,
                f"`{name}` is {'done' if outcome == SUCCEEDED else 'undone'} {count} times in one saga",
                at(step.handler or next(iter(step.undos), None)),
                why="each action and each compensation takes effect at most once",
                help="report it as a defect of choreo's, with this trace",
                steps=(name,),
                scenario=run.scenario.title,
                trace=run.lines(run.cone(*both)),
            )
