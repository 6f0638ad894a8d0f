"""CHO903 reasonless-suppression: a suppression doesn't say why.

Why it is bad: in a year nobody knows whether it still holds.

For example:

    @payments.action(fails=PaymentFailed, timeout=None)  # choreo: ignore[CHO301]
    def charge(event: Reserved, ctx: Context) -> PaymentProcessed: ...

How to fix it: write the reason behind it: `# choreo: ignore[CHO301] the bank has no limit`.
"""

from __future__ import annotations

from choreo.manifest import Suppression
from choreo.manifest.manifest import Link
from choreo.verify.finding import Finding
from choreo.verify.rule import Rule

RULE = Rule("CHO903", "reasonless-suppression", __doc__, "warning")


def reasonless(suppression: Suppression, where: Link) -> Finding:
    """Return the finding on a suppression without a reason."""
    rule = suppression.rule
    return RULE.finding(
        "",
        f"ignore[{rule}] gives no reason",
        where,
        why="in a year nobody knows whether it still holds",
        help=f"# choreo: ignore[{rule}] because …",
        steps=(rule, suppression.place.rpartition(":")[0]),
    )
