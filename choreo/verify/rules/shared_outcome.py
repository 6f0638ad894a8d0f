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
from typing import NamedTuple

from choreo.events import short_name
from choreo.manifest.manifest import Link
from choreo.outcome import CANCEL, START
from choreo.verify.case import Case
from choreo.verify.finding import NOWHERE, Finding, at
from choreo.verify.properties import Property
from choreo.verify.rule import Rule

RULE = Rule(
    "CHO109", "shared-outcome", __doc__, "error", unless=("CHO112",), properties=(Property.ONE_OWNER,)
)


def check(case: Case) -> Iterator[Finding]:
    """Find events that are the outcome of more than one step, or of one step in two ways."""
    owners: dict[str, list[Owner]] = {}
    for name, owner in _outcomes(case):
        known = owners.setdefault(name, [])
        if all((owner.step, owner.way) != (each.step, each.way) for each in known):
            known.append(owner)
    for name, found in sorted(owners.items()):
        if len(found) < 2:
            continue
        first, *others = sorted(found, key=_rank)
        yield RULE.finding(
            case.graph.name,
            f"{short_name(name)} is {_both(first, others[0])}",
            first.where if first.where.place else others[0].where,
            why="an outcome event belongs to one step: its readers go by its type",
            help="give each its own event",
            steps=(name, *sorted(owner.step for owner in found)),
            related=tuple(owner.where for owner in others),
        )


class Owner(NamedTuple):
    """A step of which an event is an outcome, in which way, and where that is declared."""

    step: str
    way: str
    where: Link


def _rank(owner: Owner) -> tuple[str, bool, str]:
    return owner.step, owner.way not in ("success", "failure"), owner.way


def _outcomes(case: Case) -> Iterator[tuple[str, Owner]]:
    """Return the outcomes of handlers, and of those steps that no handler declares."""
    for handler in case.graph.handlers:
        for way, names in (("success", handler.emits.successes), ("failure", handler.emits.failures)):
            for name in names:
                yield (
                    name,
                    Owner(handler.step, handler.task if handler.task != "action" else way, at(handler)),
                )
    contract = case.graph.contract
    yield contract.starts, Owner(START, "start", NOWHERE)
    if contract.aborts:
        yield contract.aborts, Owner(CANCEL, "cancellation", NOWHERE)
    for step in case.graph.steps.values():
        if step.handler is None and step.name not in (START, CANCEL):
            yield from ((name, Owner(step.name, "import", NOWHERE)) for name in step.successes)


def _both(one: Owner, other: Owner) -> str:
    if one.step == other.step:
        return f"the {one.way} and the {other.way} of `{one.step}`"
    return f"an outcome of `{one.step}` and of `{other.step}`"
