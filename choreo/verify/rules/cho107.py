"""cycle: a step is triggered by its own consequence.

Why it is bad: a step runs at most once in a saga, so the second time it is not called, and the saga stops
there.

How to mend it: give the repetition a saga of its own, or retry inside of the step.
"""

from __future__ import annotations

from collections.abc import Iterator

from choreo.verify.case import Case
from choreo.verify.finding import Finding


def check(case: Case) -> Iterator[Finding]:
    """Find steps that lead back to themselves; each cycle once."""
    told: set[frozenset[str]] = set()
    for step in case.graph.steps.values():
        if step.name not in case.after[step.name]:
            continue
        cycle = frozenset(name for name in case.after[step.name] if step.name in case.after[name])
        if cycle in told:
            continue
        told.add(cycle)
        yield Finding(
            "CHO107",
            "cycle",
            "error",
            case.graph.name,
            f"`{step.name}` is triggered by its own consequence",
            step.place,
            why=f"it leads to {', '.join(f'`{name}`' for name in sorted(cycle))}, and that leads back",
            help="retry inside of the step, or start another saga",
            steps=tuple(sorted(cycle)),
        )
