"""watched-pivot: somebody sets a deadline on a step that can't be undone.

Why it is bad: if the deadline came first and the step succeeded all the same, the saga would roll back
around it.

How to mend it: give the pivot a `timeout=` of its own, which is enforced before it begins.
"""

from __future__ import annotations

from collections.abc import Iterator

from choreo.verify.case import Case
from choreo.verify.finding import Finding


def check(case: Case) -> Iterator[Finding]:
    """Find deadlines on pivots and retriable steps, and on steps that nobody has."""
    for deadline in case.graph.deadlines:
        step = case.graph.steps.get(deadline.step)
        if step is not None and step.kind in ("compensatable", "external"):
            continue
        what = f"is {step.kind}: it can't be undone" if step else "is no step of this saga"
        yield Finding(
            "CHO304",
            "watched-pivot",
            "error",
            case.graph.name,
            f"`{deadline.name}` sets a deadline on `{deadline.step}`, which {what}",
            deadline.place,
            why="timing it out could not be made good" if step else "it would never be met",
            help="give the step a timeout= of its own, or drop the deadline",
            steps=(deadline.name,),
        )
