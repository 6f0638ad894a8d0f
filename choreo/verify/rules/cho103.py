"""orphan-event: an event is emitted, and nobody waits for it.

Why it is bad: work may end in nothing; mostly a consumer was removed or never written. An observer counts
as a consumer.

How to mend it: consume it, export it as `External`, or, if the step has no consequence, make that plain by
an observer.
"""

from __future__ import annotations

from collections.abc import Iterator

from choreo.outcome import CANCEL, COMPENSATED, TIMED_OUT
from choreo.verify.case import Case
from choreo.verify.finding import Finding


def check(case: Case) -> Iterator[Finding]:
    """Find events that call no handler, end nothing, and leave for nowhere."""
    graph = case.graph
    ends = {graph.contract.completes, graph.contract.fails}
    for name, (step, outcome) in sorted(graph.outcome.items()):
        # What a timeout or a cancellation does is the protocol's; a leaf's confirmation may call nobody.
        if name in graph.consumers or name in ends | graph.exports or outcome == TIMED_OUT or step == CANCEL:
            continue
        if outcome == COMPENSATED and not _is_awaited(case, step):
            continue
        yield Finding(
            "CHO103",
            "orphan-event",
            "warning",
            graph.name,
            f"nobody waits for {name}, an outcome of `{step}`",
            graph.steps[step].place if step in graph.steps else "",
            why=f"it is {outcome}, calls no handler, and is no end of the saga",
            help="consume it, observe it, or export it as External",
            steps=(step, name),
        )


def _is_awaited(case: Case, step: str) -> bool:
    """Say whether a step before it has to be undone after it."""
    trigger = case.graph.steps[step].trigger if step in case.graph.steps else ()
    return bool(trigger)
