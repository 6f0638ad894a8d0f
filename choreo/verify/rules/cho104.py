"""unreachable-handler: what calls a handler is emitted, but never in one run, or only after itself.

Why it is bad: the handler is never called.

How to mend it: look at what must come before the events that it waits for; one of them can't.
"""

from __future__ import annotations

from collections.abc import Iterator

from choreo.verify.case import Case
from choreo.verify.finding import Finding


def check(case: Case) -> Iterator[Finding]:
    """Find handlers whose events nothing can bring about from the saga's start."""
    graph = case.graph
    for handler in graph.handlers:
        names = frozenset().union(*handler.trigger)
        known = names <= case.emitted | graph.imports
        if not handler.trigger or not known or any(option <= case.reachable for option in handler.trigger):
            continue
        missing = sorted(names - case.reachable)
        yield Finding(
            "CHO104",
            "unreachable-handler",
            "error",
            graph.name,
            f"`{handler.name}` is never called",
            handler.place,
            why=f"nothing that the saga's start leads to brings about {', '.join(missing)}",
            help="let an event that can come call it, or drop it",
            steps=(handler.name,),
        )
