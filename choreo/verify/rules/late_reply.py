"""CHO302 late-reply: a deadline, or an attempt that is cut off, can undo a step whose compensation does not
take `Aborted`.

Why it is bad: when the deadline passes first, or an attempt outside of the transaction raises when it has
done something already, no event of a later step calls the compensation: its event is an `Aborted`. If its
parameter doesn't take that, it becomes a dead letter, and what the step did stays.

For example, in two participants:

    @orders.deadline(of="payments.charge", within=timedelta(minutes=10))
    def payment_is_late(event: OrderCreated, ctx: Context) -> PaymentTimedOut: ...

    @payments.compensation(of=charge)
    def refund(event: ShipmentFailed, charged: PaymentProcessed, ctx: Context) -> PaymentRefunded: ...

How to fix it: let the compensation's event be `… | Aborted`. The help of the finding has the line.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from choreo.graph import Step, required_trigger
from choreo.manifest import HandlerEntry
from choreo.verify.case import Case
from choreo.verify.finding import Finding, at
from choreo.verify.properties import Property
from choreo.verify.rule import UNCLEAR, Rule
from choreo.verify.suggestion import definition

RULE = Rule(
    "CHO302",
    "late-reply",
    __doc__,
    "error",
    unless=(*UNCLEAR, "CHO204"),
    properties=(Property.ADMITTED_TIMEOUT,),
)


class _Cut(NamedTuple):
    """What can undo a step before any event of a later step does, and what is said of it."""

    step: Step
    name: str
    told: str
    help: str
    by: HandlerEntry


def check(case: Case) -> Iterator[Finding]:
    """Find deadlines on steps, and steps that may fail half done, whose compensation takes no `Aborted`."""
    reported: set[str] = set()
    for cut in (*_late(case), *_half_done(case)):
        for undo in cut.step.compensations:
            if undo.aborted or undo.name in reported:
                continue
            reported.add(undo.name)
            success = next(each for each in cut.step.successes if cut.step.compensation_for(each) is undo)
            yield RULE.finding(
                case.graph.name,
                f"{cut.told}, but `{undo.name}` admits no Aborted",
                at(undo),
                why="no event of a later step calls it then",
                help=cut.help,
                code=definition(case, cut.step, undo, required_trigger(case.graph, success)),
                steps=(cut.name, undo.name),
                related=(at(cut.by),),
            )


def _late(case: Case) -> Iterator[_Cut]:
    for deadline in case.graph.deadlines:
        step = case.graph.steps.get(deadline.step)
        if step is not None and case.order.is_armed(deadline):
            told = f"`{deadline.name}` can undo `{deadline.step}`"
            yield _Cut(step, deadline.name, told, "admit it:", deadline)


def _half_done(case: Case) -> Iterator[_Cut]:
    for step in case.graph.steps.values():
        if step.handler and step.handler.partial and step.trigger.satisfied(case.order.reachable):
            told = f"`{step.name}` can fail when it has done something"
            mend = "admit it, or say partial=False at the action where such an attempt did nothing:"
            yield _Cut(step, step.name, told, mend, step.handler)
