"""starved-join: a join waits for events that never come in one run.

Why it is bad: the handler is never called, and the saga stops before it.

How to mend it: join outcomes of different steps; for one *or* the other, write `A | B`.
"""

from __future__ import annotations

from collections.abc import Iterator

from choreo.outcome import COMPENSATED, TIMED_OUT
from choreo.verify.case import Case
from choreo.verify.finding import Finding


def check(case: Case) -> Iterator[Finding]:
    """Find joins of which every alternative asks for two outcomes of one step."""
    graph = case.graph
    for handler in graph.handlers:
        if not handler.trigger or not all(len(option) > 1 for option in handler.trigger):
            continue
        rivals = [_rivals(case, option) for option in handler.trigger]
        if not all(rivals):
            continue
        first, second, step = rivals[0]
        yield Finding(
            "CHO108",
            "starved-join",
            "error",
            graph.name,
            f"`{handler.name}` waits for {first} and {second}, which never come both",
            handler.place,
            why=f"they are two outcomes of `{step}`, which has one",
            help="write A | B for one or the other",
            steps=(handler.name,),
        )


def _rivals(case: Case, option: frozenset[str]) -> tuple[str, ...]:
    """Give two events of a join that exclude each other, and the step whose outcomes they are."""
    seen: dict[str, str] = {}
    for name in sorted(option):
        step, outcome = case.graph.outcome.get(name, ("", ""))
        if not step or outcome in (COMPENSATED, TIMED_OUT):
            continue
        if step in seen:
            return seen[step], name, step
        seen[step] = name
    return ()
