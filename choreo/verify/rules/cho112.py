"""saga-disagreement: two participants know two contracts of one saga.

Why it is bad: one waits for an end that the other never publishes, or looks for it on another topic.

How to mend it: import the `Saga` from one shared module, and deploy both with the same version of it.
"""

from __future__ import annotations

from collections.abc import Iterator

from choreo.verify.case import Case
from choreo.verify.finding import Finding


def check(case: Case) -> Iterator[Finding]:
    """Find contracts of this saga that differ from the first."""
    graph = case.graph
    for manifest in case.choreography.manifests:
        for saga in manifest.sagas:
            if saga.name != graph.name or saga == graph.contract:
                continue
            ours = vars(graph.contract)
            differing = [name for name, value in vars(saga).items() if ours[name] != value]
            yield Finding(
                "CHO112",
                "saga-disagreement",
                "error",
                graph.name,
                f"{graph.participants[0]} and {manifest.participant} disagree on saga {graph.name!r}",
                next((handler.place for handler in manifest.handlers if handler.saga == saga.name), ""),
                why="; ".join(f"{name}: {ours[name]!r} and {vars(saga)[name]!r}" for name in differing),
                help="import the Saga from one shared module",
                steps=(manifest.participant,),
            )
