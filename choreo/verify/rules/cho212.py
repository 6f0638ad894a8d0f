"""never-rolled-back: a step has a compensation, and nothing after or beside it can fail.

Why it is bad: its compensation is code that can only run after its own timeout, and nobody ever sees it
run. Mostly the step is the point of no return: say so.

How to mend it: `kind="pivot"`, and drop the compensation.
"""

from __future__ import annotations

from collections.abc import Iterator

from choreo.verify.case import Case
from choreo.verify.finding import Finding


def check(case: Case) -> Iterator[Finding]:
    """Find compensatable steps that no failure, deadline or cancellation could undo."""
    graph = case.graph
    watched = {deadline.step for deadline in graph.deadlines}
    for step in graph.steps.values():
        if step.kind != "compensatable" or step.name in watched or graph.contract.aborts:
            continue
        others = [graph.steps[name] for name in case.after[step.name]] + list(case.beside(step))
        if (step.handler and step.handler.partial) or any(other.can_fail for other in others):
            continue
        yield Finding(
            "CHO212",
            "never-rolled-back",
            "warning",
            graph.name,
            f"nothing can undo `{step.name}`: no step after or beside it can fail",
            step.place,
            why="its compensation never runs",
            help='is it a pivot? then kind="pivot", without a compensation',
            steps=(step.name,),
        )
