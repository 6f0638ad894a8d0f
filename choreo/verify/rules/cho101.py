"""unknown-event: a handler waits for an event that no other manifest knows.

Why it is bad: nobody will ever publish it, so the handler is never called. Mostly its name is misspelt, or
the class was copied under another namespace.

How to mend it: import the event class from the saga's contract, or add the manifest of the participant that
emits it.
"""

from __future__ import annotations

from collections.abc import Iterator
from difflib import get_close_matches

from choreo.event import short_name
from choreo.verify.case import Case
from choreo.verify.finding import Finding


def check(case: Case) -> Iterator[Finding]:
    """Find the triggers that only one participant has ever heard of."""
    graph = case.graph
    for name, handlers in sorted(graph.consumers.items()):
        if name in case.emitted or name in graph.imports or _is_known_elsewhere(case, name, handlers[0].name):
            continue
        meant = get_close_matches(name, sorted(case.emitted), 1, 0.6)
        for handler in handlers:
            yield Finding(
                "CHO101",
                "unknown-event",
                "error",
                graph.name,
                f"`{handler.name}` waits for {name}, which no other participant knows",
                handler.place,
                why="nothing emits it, so the handler is never called",
                help=f"did you mean {meant[0]}?"
                if meant
                else f"who emits {short_name(name)}? its manifest is missing",
                steps=(handler.name, name),
            )


def _is_known_elsewhere(case: Case, name: str, handler: str) -> bool:
    owner = handler.partition(".")[0]
    return any(
        name in manifest.schemas for manifest in case.choreography.manifests if manifest.participant != owner
    )
