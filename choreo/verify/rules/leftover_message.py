"""CHO110 leftover-message: an outcome may come after the saga's end, and is then dispatched to nobody.

Why it is bad: an outcome after the end is void: it is recorded, and no handler is called. So a handler of
that event is called in some sagas and not in others, by chance.

For example, two retriable steps after the pivot, of which one ends the saga:

    @mail.action(kind="retriable")
    def confirm(event: Settled, ctx: Context) -> Confirmed: ...          # may come later …

    @ledger.action(kind="retriable")
    def close(event: Settled, ctx: Context) -> TransferDone: ...         # … than this end

How to fix it: join the branch before the step that emits `completes`, or do its work in an observer of
`completes`.
"""

from __future__ import annotations

from collections.abc import Iterator

from choreo.events import short_name
from choreo.outcome import SUCCEEDED
from choreo.verify.case import Case
from choreo.verify.engine.run import Run
from choreo.verify.finding import Finding, at
from choreo.verify.rule import Rule

RULE = Rule("CHO110", "leftover-message", __doc__, "warning", of_runs=True)


def check(case: Case) -> Iterator[Finding]:
    """Find successes that the good end does not wait for, of steps that can't fail."""
    reported: set[str] = set()
    for run, number in after_the_end(case):
        event = run.events[number]
        step = case.graph.steps.get(event.step)
        if event.type not in case.graph.consumers:
            continue  # nobody waits for it: CHO103
        if event.step in reported or step is None or step.handler is None or step.can_fail:
            continue
        reported.add(event.step)
        end = short_name(case.graph.contract.completes)
        yield RULE.finding(
            case.graph.name,
            f"{short_name(event.type)} may come after {end}",
            at(step.handler),
            why=f"{end} does not wait for `{event.step}`, and after the end nothing is dispatched",
            help=f"join {short_name(event.type)} before {end}, or let an observer of {end} do that work",
            steps=(event.step,),
        )


def after_the_end(case: Case) -> Iterator[tuple[Run, int]]:
    """Return the successes that, in a run that completes, are not ordered before its end."""
    for run in case.whole_runs:
        end = next((n for n, e in enumerate(run.events) if e.type == case.graph.contract.completes), -1)
        if run.end != "completed" or end < 0:
            continue
        for number, event in enumerate(run.events):
            if number != end and event.outcome == SUCCEEDED and not run.is_before(number, end):
                yield run, number
