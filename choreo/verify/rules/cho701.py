"""stale-manifest: a participant declares something else than its manifest, or the choreography's lock, says.

Why it is bad: other repositories verify what the manifest says, and compensations whose triggers are
derived run by the lock. If a participant has changed since, they are proved right for another choreography,
or called too early, or never.

For example, after a step was added to `payments`, and nobody ran:

    $ choreo manifest shop.payments --output manifests
    $ choreo verify --lock

How to mend it: write it anew, and commit it: the manifest beside the code, `choreography.json` in every
repository that has one.
"""

from __future__ import annotations

from collections.abc import Iterator

from choreo.verify.case import Case
from choreo.verify.finding import Finding, at
from choreo.verify.rule import Rule

RULE = Rule(__name__, __doc__ or "", "error")


def check(case: Case) -> Iterator[Finding]:
    """Compare each participant with the digest that was locked."""
    if case.lock is None:
        return
    for manifest in case.choreography.manifests:
        if manifest.participant not in case.graph.participants or not case.lock.is_stale(manifest):
            continue
        known = manifest.participant in case.lock.participants
        if not known and not any(handler.derived for handler in case.graph.handlers):
            continue  # nothing in its saga leans on a lock
        what = "has changed since it was locked" if known else "is not in the lock"
        yield RULE.finding(
            case.graph.name,
            f"`{manifest.participant}` {what}",
            at(next(iter(manifest.handlers), None)),
            why="derived compensations run by the triggers in the lock",
            help="write it anew, and commit it:",
            paste=("choreo verify --lock",),
            steps=(manifest.participant,),
        )
