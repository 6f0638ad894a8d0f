"""CHO106 stuck-state: in some scenario the saga stops before its end.

Why it is bad: the saga stays open for ever with its work half done, and no participant notices.

For example, a choice of which one answer leads nowhere:

    @stock.action(fails=Unavailable)
    def reserve(event: OrderCreated, ctx: Context) -> Reserved | Backordered: ...

    @payments.action(fails=PaymentFailed)
    def charge(event: Reserved, ctx: Context) -> PaymentProcessed: ...    # nothing takes Backordered

How to fix it: let a handler react to the last event of the trace, or trigger the step that still waits by
an event that does come.
"""

from __future__ import annotations

from collections.abc import Iterator

from choreo.events import short_name
from choreo.verify.case import Case
from choreo.verify.engine.run import Run
from choreo.verify.finding import NOWHERE, Finding, at
from choreo.verify.properties import Property
from choreo.verify.rule import Rule

RULE = Rule(
    "CHO106",
    "stuck-state",
    __doc__,
    "error",
    of_runs=True,
    properties=(Property.TERMINATION, Property.QUIESCENCE, Property.NO_DEAD_LETTER),
)


def check(case: Case) -> Iterator[Finding]:
    """Find runs that stop without an end; of those that stop at the same event, the shortest."""
    seen: dict[str, tuple[Run, int]] = {}
    for run in case.whole_runs:
        if run.end or not run.events:
            continue
        last = max(run.valid, default=0)
        known = seen.get(run.events[last].type)
        if known is None or _length(known[0]) > _length(run):
            seen[run.events[last].type] = (run, last)
    for run, last in seen.values():
        yield _finding(case, run, last)


def _length(run: Run) -> tuple[int, int]:
    return len(run.scenario.troubles), len(run.events)


def _finding(case: Case, run: Run, last: int) -> Finding:
    event = run.events[last]
    step = case.graph.steps.get(event.step)
    waits = f"; {' and '.join(f'`{each}`' for each in run.waiting)} still wait" if run.waiting else ""
    contract = case.graph.contract
    return RULE.finding(
        case.graph.name,
        f"the saga stops after {short_name(event.type)} and never ends",
        at(step.handler or next(iter(step.compensations), None)) if step else NOWHERE,
        why=f"no handler goes on from there{waits}",
        help=f"let a handler react to {short_name(event.type)}, up to {short_name(contract.completes)} or "
        f"{short_name(contract.fails)}",
        steps=(event.step, event.type),
        scenario=run.scenario.title,
        run=run.lines(run.cone(last), {last: "<- nothing moves any more"}),
    )
