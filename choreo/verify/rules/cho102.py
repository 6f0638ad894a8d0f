"""phantom-event: a handler waits for an event that is known, and that nothing emits.

Why it is bad: the handler is never called. Mostly a step was removed, or emits another event now, and who
waits for it was not told.

How to mend it: let a handler emit it, declare it `External`, or drop it from the trigger.
"""

from __future__ import annotations

from collections.abc import Iterator

from choreo.verify.case import Case
from choreo.verify.finding import Finding
from choreo.verify.rules import cho101


def check(case: Case) -> Iterator[Finding]:
    """Find the triggers that are declared somewhere, and emitted nowhere."""
    graph = case.graph
    unknown = {finding.steps[1] for finding in cho101.check(case)}
    for name, handlers in sorted(graph.consumers.items()):
        if name in case.emitted or name in graph.imports or name in unknown:
            continue
        for handler in handlers:
            yield Finding(
                "CHO102",
                "phantom-event",
                "error",
                graph.name,
                f"`{handler.name}` waits for {name}, which nothing emits",
                handler.place,
                why="the event is declared, but no action, compensation or deadline returns it",
                help="let a handler emit it, import it as External, or drop it from the trigger",
                steps=(handler.name, name),
            )
