"""late-reply: a deadline can undo a step whose compensation does not expect that.

Why it is bad: when the deadline passes first, no event of a later step calls the compensation. If its
parameter admits no `Aborted`, it can't be called: it becomes a dead letter, and what the late reply did
stays.

How to mend it: annotate the compensation's event with `… | Aborted`.
"""

from __future__ import annotations

from collections.abc import Iterator

from choreo.verify.case import Case
from choreo.verify.finding import Finding


def check(case: Case) -> Iterator[Finding]:
    """Find deadlines on steps whose compensation takes no `Aborted`."""
    for deadline in case.graph.deadlines:
        step = case.graph.steps.get(deadline.step)
        for undo in step.undos if step else ():
            if not undo.aborted:
                yield Finding(
                    "CHO302",
                    "late-reply",
                    "error",
                    case.graph.name,
                    f"`{deadline.name}` can undo `{deadline.step}`, but `{undo.name}` admits no Aborted",
                    undo.place,
                    why="no event of a later step calls it then",
                    help="annotate its event with … | Aborted",
                    steps=(deadline.name, undo.name),
                    related=((deadline.place, f"`{deadline.name}`"),),
                )
