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
from choreo.outcome import SUCCEEDED
from choreo.verify.case import Case
from choreo.verify.engine.run import Run
from choreo.verify.finding import NOWHERE, Finding, at, listed, plural
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
    """Find runs that stop without an end; of those that stop by the same event, the shortest."""
    seen: dict[str, tuple[Run, int]] = {}
    for run in case.whole_runs:
        if run.end or not run.events:
            continue
        last = _dead_end(case, run)
        known = seen.get(run.events[last].type)
        if known is None or _length(known[0]) > _length(run):
            seen[run.events[last].type] = (run, last)
    for run, last in seen.values():
        yield _finding(case, run, last)


def _dead_end(case: Case, run: Run) -> int:
    """Return the number of the event that nothing follows: an answer that leads nowhere, or else the last."""
    open_ends = [number for number in run.valid if _leads_nowhere(case, run, number)]
    return max(open_ends or run.valid, default=0)


def _leads_nowhere(case: Case, run: Run, number: int) -> bool:
    """Whether an event is one of several answers of its step, and no step that waits for it went on."""
    event, graph = run.events[number], case.graph
    step = graph.steps.get(event.step)
    if event.outcome != SUCCEEDED or step is None or len(step.successes) < 2:
        return False
    went_on = {each.step for each in run.events}
    return event.type != graph.contract.completes and all(
        after.name not in went_on for after in graph.triggered.get(event.type, ())
    )


def _still_waiting(case: Case, run: Run) -> str:
    """Return which steps were called and never began, and what half-filled joins wait for."""
    come = {run.events[number].type for number in run.valid}
    went_on = {event.step for event in run.events}
    waits = [f"{listed(run.waiting)} still {plural(run.waiting, 'waits', 'wait')}"] if run.waiting else []
    for step in case.graph.steps.values():
        still_open = [slot for slot in step.trigger.slots if not slot.is_filled(come)]
        if step.name not in went_on and still_open and step.trigger.touched(come):
            missing = (" or ".join(sorted(map(short_name, slot.all_types - come))) for slot in still_open)
            waits.append(f"`{step.name}` still waits for {' and '.join(missing)}")
    return "".join(f"; {each}" for each in waits)


def _length(run: Run) -> tuple[int, int]:
    return len(run.scenario.troubles), len(run.events)


def _finding(case: Case, run: Run, last: int) -> Finding:
    event = run.events[last]
    step = case.graph.steps.get(event.step)
    nowhere = "no handler goes on from there"
    if _leads_nowhere(case, run, last):
        nowhere = f"{short_name(event.type)} is an answer of `{event.step}` that leads nowhere"
    contract = case.graph.contract
    return RULE.finding(
        case.graph.name,
        f"the saga stops after {short_name(event.type)} and never ends",
        at(step.handler or next(iter(step.compensations), None)) if step else NOWHERE,
        why=f"{nowhere}{_still_waiting(case, run)}",
        help=f"let a handler react to {short_name(event.type)}, up to {short_name(contract.completes)} or "
        f"{short_name(contract.fails)}",
        steps=(event.step, event.type),
        scenario=run.scenario.title,
        run=run.lines(run.cone(last), {last: "<- nothing moves any more"}),
    )
