"""CHO805 needs-drain: no order of deployment is right, as long as a saga is in flight.

Why it is bad: whoever is deployed first, some saga is stranded, repeats an effect, or loses one: the old part
of one participant and the new part of another don't go together, one way round or the other.

For example, two participants that exchange the order of their steps, which each could do alone:

    @payments.action(fails=PaymentFailed)
    def charge(event: Reserved, ctx: Context) -> Paid: ...          # was: event: OrderCreated

    @stock.action(fails=Unavailable)
    def reserve(event: OrderCreated, ctx: Context) -> Reserved: ...  # was: event: Paid

How to fix it: raise the saga's version: the old handlers with `until=1` beside the new ones with `since=2`.
Or release in two steps, each of which goes together with what is deployed. Or start no saga, and let those
in flight end (`choreo run --no-starts`) until `choreo sagas --unended --count` says 0; then upgrade.
"""

from __future__ import annotations

from choreo.verify.rule import Rule

RULE = Rule("CHO805", "needs-drain", __doc__, "error", of_runs=True)
