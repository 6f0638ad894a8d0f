"""shared-outcome: two steps emit one event.

Why it is bad: who reads it can't tell which step it is the outcome of; one of the two would be taken for
the other.

How to mend it: give each step events of its own.
"""

from __future__ import annotations

from collections.abc import Iterator

from choreo.verify.case import Case
from choreo.verify.finding import Finding


def check(case: Case) -> Iterator[Finding]:
    """Find events that are the outcome of more than one step, or of one step in two ways."""
    owners: dict[str, dict[tuple[str, str], str]] = {}
    for handler in case.graph.handlers:
        for name in (*handler.emits.successes, *handler.emits.failures):
            task = "undone" if handler.task == "compensation" else handler.task
            owners.setdefault(name, {}).setdefault((handler.step, task), handler.place)
    for name, found in sorted(owners.items()):
        if len(found) < 2:
            continue
        (first, place), *others = sorted(found.items())
        yield Finding(
            "CHO109",
            "shared-outcome",
            "error",
            case.graph.name,
            f"{name} is an outcome of `{first[0]}` and of `{others[0][0][0]}`",
            place,
            why="an outcome event belongs to one step: its readers go by its type",
            help="give each its own event",
            steps=(name, *sorted(step for step, _ in found)),
            related=tuple((where, f"`{step}`") for (step, _), where in others),
        )
