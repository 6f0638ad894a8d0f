"""stale-lock: a participant declares something else than what the choreography's lock was made of.

Why it is bad: compensations whose triggers are derived run by the lock. If a participant has changed
since, they may be called too early, or never.

How to mend it: `choreo verify --lock`, and commit `choreography.json` in every repository that has one.
"""

from __future__ import annotations

from collections.abc import Iterator

from choreo.verify.case import Case
from choreo.verify.finding import Finding


def check(case: Case) -> Iterator[Finding]:
    """Compare each participant with the digest that was locked."""
    if case.lock is None:
        return
    for manifest in case.choreography.manifests:
        if manifest.participant in case.graph.participants and case.lock.is_stale(manifest):
            known = manifest.participant in case.lock.participants
            what = "has changed since it was locked" if known else "is not in the lock"
            yield Finding(
                "CHO701",
                "stale-lock",
                "error",
                case.graph.name,
                f"`{manifest.participant}` {what}",
                next((handler.place for handler in manifest.handlers), ""),
                why="derived compensations run by the triggers in the lock",
                help="choreo verify --lock",
                steps=(manifest.participant,),
            )
