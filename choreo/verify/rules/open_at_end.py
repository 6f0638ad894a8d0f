"""CHO114 open-at-end: the saga may complete while a step that can be undone is still open.

Why it is bad: if that step fails after the end, nothing is rolled back: the saga is over.

For example, a branch that nobody waits for:

    @billing.action(fails=InvoiceFailed)
    def invoice(event: OrderCreated, ctx: Context) -> Invoiced: ...

    @orders.action(kind="retriable")
    def close(event: Shipped, ctx: Context) -> OrderFulfilled: ...       # may come before Invoiced

How to fix it: join that branch before the step that emits `completes`.
"""

from __future__ import annotations

from collections.abc import Iterator

from choreo.events import short_name
from choreo.graph import Step
from choreo.verify.case import Case
from choreo.verify.code import NO_CODE
from choreo.verify.finding import Finding, at
from choreo.verify.join import Join, join_meant
from choreo.verify.rule import Rule
from choreo.verify.rules.leftover_message import after_the_end

RULE = Rule("CHO114", "open-at-end", __doc__, "warning", of_runs=True)


def check(case: Case) -> Iterator[Finding]:
    """Find successes that the good end does not wait for, of steps that can fail."""
    reported: set[str] = set()
    completes = case.graph.contract.completes
    for run, number in after_the_end(case):
        event = run.events[number]
        step = case.graph.steps.get(event.step)
        if event.type not in case.graph.consumers:
            continue  # nobody waits for it: CHO103
        if event.step in reported or step is None or not step.can_fail:
            continue
        reported.add(event.step)
        end = next(n for n, each in enumerate(run.events) if each.type == completes)
        meant = _join(case, step)
        yield RULE.finding(
            case.graph.name,
            f"the saga may complete while `{event.step}` is still open",
            at(meant.step.handler if meant else step.handler),
            why=f"{short_name(completes)} does not wait for it; if it fails later, nothing rolls back",
            help=f"{meant.help}:"
            if meant
            else f"join {short_name(event.type)} before {short_name(completes)}",
            code=meant.code if meant else NO_CODE,
            steps=(event.step,),
            related=(at(step.handler),) if meant else (),
            scenario=run.scenario.title,
            run=run.lines(sorted({*run.cone(end), *run.cone(number)})),
        )


def _join(case: Case, step: Step) -> Join | None:
    """Return the join that was meant where a step after this one waits for it or for another."""
    after = (case.graph.steps[name] for name in case.graph.steps if name in case.order.after[step.name])
    return next(filter(None, (join_meant(case, each) for each in after)), None)
