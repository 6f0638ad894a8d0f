"""CHO701 stale-manifest: a participant differs from its manifest, or from the choreography's lock.

Why it is bad: other repositories verify what the manifest says, and compensations whose triggers are
derived take them from the lock. If the participant has changed since, another choreography is proved than
the one that runs, and compensations are called too early, or never.

For example, after a step was added to `payments`, and nobody ran:

    $ choreo manifest shop.payments --output manifests
    $ choreo verify --lock

How to fix it: write it again, and commit it: the manifest beside the code, `choreography.json` in every
repository that has one.
"""

from __future__ import annotations

from collections.abc import Iterator

from choreo.manifest import Manifest
from choreo.verify.case import Case
from choreo.verify.code import Code
from choreo.verify.finding import Finding, at
from choreo.verify.rule import Rule

RULE = Rule("CHO701", "stale-manifest", __doc__, "error")


def check(case: Case) -> Iterator[Finding]:
    """Find participants that differ from their committed manifests, or from the digests in the lock."""
    for manifest in case.choreography.manifests:
        if manifest.participant not in case.graph.participants:
            continue
        if manifest.outdated:
            yield _finding(
                case,
                manifest,
                f"`{manifest.participant}` declares something else than {manifest.outdated} says",
                "others verify what the manifest says",
                "choreo manifest MODULE --output FOLDER",
            )
        elif case.lock and case.lock.is_stale(manifest):
            known = manifest.participant in case.lock.participants
            if not known and not any(handler.derived for handler in case.graph.handlers):
                continue  # nothing in its saga leans on a lock
            what = "has changed since it was locked" if known else "is not in the lock"
            yield _finding(
                case,
                manifest,
                f"`{manifest.participant}` {what}",
                "derived compensations run by the triggers in the lock",
                "choreo verify --lock",
            )


def _finding(case: Case, manifest: Manifest, message: str, why: str, command: str) -> Finding:
    return RULE.finding(
        case.graph.name,
        message,
        at(next(iter(manifest.handlers), None)),
        why=why,
        help="write it anew, and commit it:",
        code=Code((command,)),
        steps=(manifest.participant,),
    )
