"""stuck-state: in some scenario the saga stops before its end.

Why it is bad: money or stock stays in between, and nobody is told. Whoever waits, waits for ever.

How to mend it: the trace ends where nothing moves any more. Let somebody react to its last event, or let
the step that waits be called by what really comes.
"""

from __future__ import annotations

from collections.abc import Iterator

from choreo.event import short_name
from choreo.verify.case import Case
from choreo.verify.finding import Finding
from choreo.verify.run import Run


def check(case: Case) -> Iterator[Finding]:
    """Find runs that end without an end; the shortest of those that stop at the same event."""
    seen: dict[str, tuple[Run, int]] = {}
    for run in case.runs:
        if run.end or not run.log:
            continue
        last = max(run.valid, default=0)
        known = seen.get(run.log[last].type)
        if known is None or len(known[0].log) > len(run.log):
            seen[run.log[last].type] = (run, last)
    for run, last in seen.values():
        yield _finding(case, run, last)


def _finding(case: Case, run: Run, last: int) -> Finding:
    event = run.log[last]
    step = case.graph.steps.get(event.step)
    waiting = f"; {', '.join(f'`{each}`' for each in run.waiting)} still waits" if run.waiting else ""
    return Finding(
        "CHO106",
        "stuck-state",
        "error",
        case.graph.name,
        f"the saga stops after {short_name(event.type)} and never ends",
        step.place if step else "",
        why=f"no handler goes on from there{waiting}",
        help=f"let a handler react to {short_name(event.type)}, "
        f"up to {short_name(case.graph.contract.completes)} or "
        f"{short_name(case.graph.contract.fails)}",
        steps=(event.step, event.type),
        scenario=run.scenario.title,
        trace=run.lines(run.cone(last), {last: "<- nothing moves any more"}),
    )
