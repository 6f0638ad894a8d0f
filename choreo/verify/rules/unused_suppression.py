"""unused-suppression: a suppression has no effect.

Why it is bad: it hides nothing today, and may hide something else tomorrow. Mostly what it was for is mended.

For example, at a handler of which CHO301 says nothing:

    @payments.action(fails=PaymentFailed)  # choreo: ignore[CHO301] the bank answers within a day
    def charge(event: Reserved, ctx: Context) -> PaymentProcessed: ...

How to fix it: delete it.
"""

from __future__ import annotations

from choreo.verify.rule import Rule

RULE = Rule("CHO902", "unused-suppression", __doc__, "warning")
