"""both-ends: one run publishes the saga's good end and its bad one.

Why it is bad: some participants act on the one, some on the other, until they read that the second is void.

For example, a deadline on one branch, while the other goes on to the end:

    @orders.action(kind="retriable")
    def close(event: Shipped, ctx: Context) -> OrderFulfilled: ...       # does not wait for the invoice

    @orders.deadline(of="billing.invoice", within=timedelta(days=1))
    def invoice_is_late(event: OrderCreated, ctx: Context) -> InvoiceTimedOut: ...

How to mend it: let what publishes the good end wait for whatever can still fail.
"""

from __future__ import annotations

from collections.abc import Iterator

from choreo.event import short_name
from choreo.manifest import SagaEntry
from choreo.verify.case import Case
from choreo.verify.finding import NOWHERE, Finding, at
from choreo.verify.rule import Rule
from choreo.verify.run import Run

RULE = Rule(__name__, __doc__ or "", "error", of_runs=True)


def check(case: Case) -> Iterator[Finding]:
    """Find a run in which both ends stand in the log."""
    contract = case.graph.contract
    for run in case.whole_runs:
        numbers = {event.type: number for number, event in enumerate(run.log)}
        if contract.completes not in numbers or contract.fails not in numbers or _in_vain(run, contract):
            continue
        both = (numbers[contract.completes], numbers[contract.fails])
        step = case.graph.steps.get(run.log[both[0]].step)
        yield RULE.finding(
            case.graph.name,
            f"{short_name(contract.completes)} and {short_name(contract.fails)} are published in one run",
            at(step.handler) if step else NOWHERE,
            why="nothing orders the one behind the other",
            help=f"let what emits {short_name(contract.completes)} wait for whatever can still fail",
            steps=(run.log[both[0]].step,),
            scenario=run.scenario.title,
            trace=run.lines(run.cone(*both)),
        )
        return


def _in_vain(run: Run, contract: SagaEntry) -> bool:
    """Say whether the good end came first and did not count, since a step had failed (rule R8)."""
    types = [event.type for event in run.log]
    return run.end == "failed" and types.index(contract.completes) < types.index(contract.fails)
