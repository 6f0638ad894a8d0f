"""open-at-end: the saga may complete while a step that can be undone still runs.

Why it is bad: if that step fails after the end, nothing rolls back: the saga is over.

How to mend it: join that branch before the step that emits `completes`.
"""

from __future__ import annotations

from collections.abc import Iterator

from choreo.event import short_name
from choreo.outcome import SUCCEEDED
from choreo.verify.case import Case
from choreo.verify.finding import Finding


def check(case: Case) -> Iterator[Finding]:
    """Find, in runs that complete, successes that the end did not wait for."""
    told: set[str] = set()
    for run in case.runs:
        end = next((n for n, e in enumerate(run.log) if e.type == case.graph.contract.completes), -1)
        if run.end != "completed" or end < 0:
            continue
        for number, event in enumerate(run.log):
            step = case.graph.steps.get(event.step)
            is_open = step and step.can_fail and event.outcome == SUCCEEDED and not run.is_before(number, end)
            if not is_open or number == end or event.step in told:
                continue
            told.add(event.step)
            yield Finding(
                "CHO114",
                "open-at-end",
                "warning",
                case.graph.name,
                f"the saga may complete while `{event.step}` still runs",
                step.place if step else "",
                why=f"{short_name(case.graph.contract.completes)} does not wait for it; if it fails later, "
                "nothing rolls back",
                help=f"join {short_name(event.type)} before {short_name(case.graph.contract.completes)}",
                steps=(event.step,),
                scenario=run.scenario.title,
                trace=run.lines(sorted({*run.cone(end), *run.cone(number)})),
            )
