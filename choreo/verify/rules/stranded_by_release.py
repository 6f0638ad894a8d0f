"""CHO801 stranded-by-release: a saga in flight waits for what the new release never does.

Why it is bad: the saga stays open for ever with its work half done. What a release declares anew acts on
the events that it reads from then on: a saga that is past the event that would call a new step is never
called back. `choreo verify --against` runs the sagas of the old release on, with each participant upgraded
at any moment.

For example, a step that is put between two others, where the second waits for the new one from now on:

    @risk.action(fails=Suspicious)
    def check(event: Paid, ctx: Context) -> Checked: ...        # new

    @stock.action(fails=Unavailable)
    def reserve(event: Checked, ctx: Context) -> Reserved: ...  # was: event: Paid

How to fix it: raise the saga's version, and let it end by the graph that it began with: keep the old
handlers with `until=1` beside the new ones with `since=2`. Or let all sagas in flight end before the
release (`choreo run --no-starts`).
"""

from __future__ import annotations

from choreo.verify.properties import Property
from choreo.verify.rule import Rule

RULE = Rule(
    "CHO801", "stranded-by-release", __doc__, "error", of_runs=True, properties=(Property.TERMINATION,)
)
