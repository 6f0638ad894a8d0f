"""CHO902 unused-suppression: a suppression has no effect.

Why it is bad: it hides nothing today, and may hide another defect tomorrow. Mostly its defect was fixed.

For example, at a handler in which CHO301 finds nothing:

    @payments.action(fails=PaymentFailed)  # choreo: ignore[CHO301] the bank answers within a day
    def charge(event: Reserved, ctx: Context) -> PaymentProcessed: ...

How to fix it: delete it.
"""

from __future__ import annotations

from choreo.manifest import Suppression
from choreo.manifest.manifest import Link
from choreo.verify.finding import Finding
from choreo.verify.rule import Rule

RULE = Rule("CHO902", "unused-suppression", __doc__, "warning")


def unused(suppression: Suppression, where: Link) -> Finding:
    """Return the finding on a suppression that has no effect."""
    rule = suppression.rule
    return RULE.finding(
        "",
        f"{f'ignore[{rule}]' if rule else 'a suppression that names no rule'} has no effect",
        where,
        why=f"{rule} finds nothing here" if rule else "it must name the rules: ignore[CHO204] reason",
        help="delete it",
        steps=(rule, suppression.place.rpartition(":")[0]),
    )
