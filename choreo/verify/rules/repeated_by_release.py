"""CHO802 repeated-by-release: a saga in flight does again what was done before the release.

Why it is bad: the customer pays twice. A step is known by its name, and one that has run does not run again;
a step of another name does. Two steps that return the same event are taken to do the same.

For example, a step that has another name from now on, and is called later:

    @payments.action(fails=PaymentFailed)
    def charge(event: OrderCreated, ctx: Context) -> Paid: ...        # the old release

    @payments.action(fails=PaymentFailed)
    def take_payment(event: Reserved, ctx: Context) -> Paid: ...      # the new one

How to fix it: say what the step was called before: `@payments.action(formerly="charge")`. Where it goes to
another participant, raise the saga's version: the old step with `until=1`, the new one with `since=2`.
"""

from __future__ import annotations

from choreo.verify.properties import Property
from choreo.verify.rule import Rule

RULE = Rule("CHO802", "repeated-by-release", __doc__, "error", of_runs=True, properties=(Property.DONE_ONCE,))
