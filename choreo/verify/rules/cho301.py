"""unwatched-step: a participant waits for another's step, and nothing limits for how long.

Why it is bad: if the step hangs, the saga hangs, and nobody is told.

How to mend it: give the action a `timeout=`, or declare a deadline on it where it is waited for.
"""

from __future__ import annotations

from collections.abc import Iterator

from choreo.verify.case import Case
from choreo.verify.finding import Finding


def check(case: Case) -> Iterator[Finding]:
    """Find compensatable steps without a timeout, with no deadline on them nor on any step after them."""
    graph = case.graph
    watched = {deadline.step for deadline in graph.deadlines}
    for step in graph.steps.values():
        if step.kind != "compensatable" or not step.handler or step.handler.timeout_ms is not None:
            continue
        waiting = {
            each.name.partition(".")[0]
            for name in (*step.successes, *step.failures)
            for each in graph.consumers.get(name, ())
            if each.task != "observer"
        } - {step.participant}
        if not waiting or step.name in watched or watched & case.after[step.name]:
            continue
        yield Finding(
            "CHO301",
            "unwatched-step",
            "warning",
            graph.name,
            f"{', '.join(sorted(waiting))} waits for `{step.name}` without any limit",
            step.place,
            why="it has no timeout, and there is no deadline on it nor on a step after it",
            help="give it timeout=…, or declare a deadline on it",
            steps=(step.name,),
        )
