"""CHO803 forgotten-by-release: what a saga in flight still needs is in the new release no more.

Why it is bad: a step that was done stays done though the saga fails, or is undone only after it has failed
or before a step that depends on it; or it is undone though the saga completes, or is never done. Where a
participant knows that it would forget something, it refuses to start: the release is stopped halfway.

For example, a function that has another name from now on:

    @payments.action(fails=PaymentFailed)
    def charge(event: OrderCreated, ctx: Context) -> Paid: ...          # the old release

    @payments.action(fails=PaymentFailed)
    def take_payment(event: OrderCreated, ctx: Context) -> Paid: ...    # the new one: who refunds Paid?

How to fix it: say what a step was called before: `@payments.action(formerly="charge")`. Keep a step that
goes for the sagas that still need it: with `until=1`, the saga's version raised. Or let them end first
(`choreo run --no-starts`), or settle by hand what they need (`choreo run --retire STEP`).
"""

from __future__ import annotations

from choreo.verify.properties import Property
from choreo.verify.rule import Rule

RULE = Rule(
    "CHO803",
    "forgotten-by-release",
    __doc__,
    "error",
    of_runs=True,
    properties=(Property.COMPLETE_ROLLBACK, Property.ONE_END),
)
