"""reasonless-suppression: a suppression doesn't say why.

Why it is bad: in a year nobody knows whether it still holds.

For example:

    @payments.action(fails=PaymentFailed, timeout=None)  # choreo: ignore[CHO301]
    def charge(event: Reserved, ctx: Context) -> PaymentProcessed: ...

How to fix it: write the reason behind it: `# choreo: ignore[CHO301] the bank has no limit`.
"""

from __future__ import annotations

from choreo.verify.rule import Rule

RULE = Rule("CHO903", "reasonless-suppression", __doc__, "warning")
