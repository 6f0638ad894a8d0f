"""CHO112 saga-disagreement: two participants have different contracts of the same saga.

Why it is bad: one waits for an end that the other never publishes, or reads another topic.

For example, in two repositories:

    Saga("orders", starts=OrderCreated, completes=OrderFulfilled, fails=OrderFailed)
    Saga("orders", starts=OrderCreated, completes=OrderShipped, fails=OrderFailed)

How to fix it: import the `Saga` from one shared module, and deploy both with the same version of it.
"""

from __future__ import annotations

from collections.abc import Iterator

from choreo.verify.case import Case
from choreo.verify.finding import Finding, at
from choreo.verify.properties import Property
from choreo.verify.rule import Rule

RULE = Rule("CHO112", "saga-disagreement", __doc__, "error", properties=(Property.ONE_CONTRACT,))


def check(case: Case) -> Iterator[Finding]:
    """Find contracts of this saga that differ from the one that most participants have."""
    name = case.graph.name
    known = [(manifest, saga) for manifest in case.choreography.manifests for saga in manifest.sagas]
    known = [(manifest, saga) for manifest, saga in known if saga.name == name]
    usual = max((saga for _, saga in known), key=[saga for _, saga in known].count)
    first = next(manifest for manifest, saga in known if saga == usual)
    for manifest, saga in known:
        differing = [field for field, value in vars(saga).items() if vars(usual)[field] != value]
        own = next((each for each in manifest.handlers if each.saga == name), None)
        if differing:
            yield RULE.finding(
                name,
                f"{manifest.participant} and {first.participant} disagree on saga {name!r}",
                at(own),
                why="; ".join(
                    f"{each}: {vars(saga)[each]!r} and {vars(usual)[each]!r}" for each in differing
                ),
                help="import the Saga from one shared module",
                steps=(manifest.participant,),
            )
