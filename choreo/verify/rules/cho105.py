"""no-end-reachable: whatever happens, the saga never comes to its good end.

Why it is bad: every saga of this type stays open for ever.

How to mend it: let the last step emit the saga's `completes` event.
"""

from __future__ import annotations

from collections.abc import Iterator

from choreo.verify.case import Case
from choreo.verify.finding import Finding


def check(case: Case) -> Iterator[Finding]:
    """Find a saga whose `completes` event no run reaches."""
    graph = case.graph
    completes = graph.contract.completes
    if completes in case.reachable:
        return
    what = "is emitted only where nothing leads" if completes in case.emitted else "is emitted by nobody"
    yield Finding(
        "CHO105",
        "no-end-reachable",
        "error",
        graph.name,
        f"saga {graph.name!r} never completes",
        graph.steps["start"].place,
        why=f"{completes} {what}",
        help="let the last step emit it",
        steps=(completes,),
    )
