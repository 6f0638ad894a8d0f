"""CHO111 both-ends: a saga both completes and fails, or completes although a step of it was undone.

Why it is bad: some participants act on one end, some on the other: goods are shipped whose payment was
refunded. The protocol makes this impossible: the first end in the topic counts, and after a failure a saga
that has not passed its pivot can't complete. This rule checks the protocol on the model of your saga.

For example, a run that ends twice:

    4 mail.confirm   ok       Shipped  -> OrderFulfilled
    5 orders.fail    undone   Released -> OrderFailed

How to fix it: this is a defect of choreo: report it, with the trace.
"""

from __future__ import annotations

from collections.abc import Iterator

from choreo.events import short_name
from choreo.outcome import COMPENSATED
from choreo.verify.case import Case
from choreo.verify.engine.run import Run
from choreo.verify.finding import NOWHERE, Finding, at
from choreo.verify.properties import Property
from choreo.verify.rule import Rule

RULE = Rule("CHO111", "both-ends", __doc__, "error", of_runs=True, properties=(Property.ONE_END,))


def check(case: Case) -> Iterator[Finding]:
    """Find a run in which `completes` counts, and `fails` or a compensation counts as well."""
    contract = case.graph.contract
    for run in case.whole_runs:
        good = next((n for n in sorted(run.valid) if run.events[n].type == contract.completes), -1)
        bad = _undone(run, contract.fails)
        if run.end != "completed" or good < 0 or bad < 0:
            continue
        step = case.graph.steps.get(run.events[good].step)
        yield RULE.finding(
            case.graph.name,
            f"{short_name(contract.completes)} counts, and so does {short_name(run.events[bad].type)}",
            at(step.handler) if step else NOWHERE,
            why="a saga that completes has nothing undone",
            help="report it as a defect of choreo's, with this trace",
            steps=(run.events[good].step,),
            scenario=run.scenario.title,
            run=run.lines(run.cone(good, bad)),
        )
        return


def _undone(run: Run, fails: str) -> int:
    """Return the number of the first valid event that fails the saga or undoes a step; -1 for none."""
    numbers = sorted(run.valid)
    undone = (n for n in numbers if run.events[n].type == fails or run.events[n].outcome == COMPENSATED)
    return next(undone, -1)
