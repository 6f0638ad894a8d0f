"""CHO109 shared-outcome: two steps emit the same event.

Why it is bad: its readers can't tell of which step it is the outcome: they go by its type.

For example, one failure event for two steps:

    @payments.action(fails=OrderRefused)
    def charge(event: Reserved, ctx: Context) -> PaymentProcessed: ...

    @shipping.action(fails=OrderRefused)
    def create(event: PaymentProcessed, ctx: Context) -> ShipmentCreated: ...

How to fix it: give each step its own events.
"""

from __future__ import annotations

from collections.abc import Iterator

from choreo.events import short_name
from choreo.manifest.manifest import Link
from choreo.verify.case import Case
from choreo.verify.finding import Finding, at
from choreo.verify.properties import Property
from choreo.verify.rule import Rule

RULE = Rule(
    "CHO109", "shared-outcome", __doc__, "error", unless=("CHO112",), properties=(Property.ONE_OWNER,)
)


def check(case: Case) -> Iterator[Finding]:
    """Find events that are the outcome of more than one step, or of one step in two ways."""
    owners: dict[str, dict[tuple[str, str], Link]] = {}
    for handler in case.graph.handlers:
        for name in (*handler.emits.successes, *handler.emits.failures):
            owners.setdefault(name, {}).setdefault((handler.step, handler.task), at(handler))
    for name, found in sorted(owners.items()):
        if len(found) < 2:
            continue
        (first, where), *others = sorted(found.items())
        yield RULE.finding(
            case.graph.name,
            f"{short_name(name)} is an outcome of `{first[0]}` and of `{others[0][0][0]}`",
            where,
            why="an outcome event belongs to one step: its readers go by its type",
            help="give each its own event",
            steps=(name, *sorted(step for step, _ in found)),
            related=tuple(link for _, link in others),
        )
