"""CHO804 needs-order: a release is right only if its participants are deployed in the order that is printed.

Why it is bad: deployed in another order, a saga in flight is stranded, repeats an effect, or loses one.

For example, a step that another participant adds at the end:

    @shipping.action(kind="pivot", fails=ShipmentFailed)
    def ship(event: Paid, ctx: Context) -> Shipped: ...        # was: -> OrderFulfilled

    @orders.action(kind="retriable")
    def close(event: Shipped, ctx: Context) -> OrderFulfilled: ...        # new: deploy orders first

How to fix it: deploy in the order that is printed: each participant once those before it run on the new
release, and have read what was on the topic. Or raise the saga's version, so that no order matters.
"""

from __future__ import annotations

from choreo.verify.rule import Rule

RULE = Rule("CHO804", "needs-order", __doc__, "warning", of_runs=True)
