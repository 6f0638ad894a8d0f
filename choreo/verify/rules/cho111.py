"""both-ends: one run publishes the saga's good end and its bad one.

Why it is bad: some participants act on the one, some on the other, until they read that the second is void.

How to mend it: the steps that publish the ends must stand one behind the other, or on a choice.
"""

from __future__ import annotations

from collections.abc import Iterator

from choreo.event import short_name
from choreo.verify.case import Case
from choreo.verify.finding import Finding


def check(case: Case) -> Iterator[Finding]:
    """Find a run in which both ends stand in the log."""
    contract = case.graph.contract
    for run in case.runs:
        numbers = {event.type: number for number, event in enumerate(run.log)}
        if contract.completes in numbers and contract.fails in numbers:
            both = (numbers[contract.completes], numbers[contract.fails])
            step = case.graph.steps.get(run.log[both[0]].step)
            yield Finding(
                "CHO111",
                "both-ends",
                "error",
                case.graph.name,
                f"{short_name(contract.completes)} and {short_name(contract.fails)} are published in one run",
                step.place if step else "",
                why="nothing orders the one behind the other",
                help=f"let what emits {short_name(contract.completes)} wait for whatever can still fail",
                steps=(run.log[both[0]].step,),
                scenario=run.scenario.title,
                trace=run.lines(run.cone(*both)),
            )
            return
