"""saga-disagreement: two participants know two contracts of one saga.

Why it is bad: one waits for an end that the other never publishes, or looks for it on another topic.

For example, in two repositories:

    Saga("orders", starts=OrderCreated, completes=OrderFulfilled, fails=OrderFailed)
    Saga("orders", starts=OrderCreated, completes=OrderShipped, fails=OrderFailed)

How to mend it: import the `Saga` from one shared module, and deploy both with the same version of it.
"""

from __future__ import annotations

from collections.abc import Iterator

from choreo.verify.case import Case
from choreo.verify.finding import NOWHERE, Finding, at
from choreo.verify.rule import Rule

RULE = Rule(__name__, __doc__ or "", "error")


def check(case: Case) -> Iterator[Finding]:
    """Find contracts of this saga that differ from the first."""
    graph = case.graph
    ours = vars(graph.contract)
    for manifest in case.choreography.manifests:
        for saga in manifest.sagas:
            if saga.name != graph.name or saga == graph.contract:
                continue
            differing = [name for name, value in vars(saga).items() if ours[name] != value]
            own = next((each for each in manifest.handlers if each.saga == saga.name), None)
            yield RULE.finding(
                graph.name,
                f"{graph.participants[0]} and {manifest.participant} disagree on saga {graph.name!r}",
                at(own) if own else NOWHERE,
                why="; ".join(f"{name}: {ours[name]!r} and {vars(saga)[name]!r}" for name in differing),
                help="import the Saga from one shared module",
                steps=(manifest.participant,),
            )
