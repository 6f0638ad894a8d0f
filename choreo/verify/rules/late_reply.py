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

from choreo.graph import Step, required_trigger
from choreo.manifest import HandlerEntry
from choreo.verify.case import Case
from choreo.verify.code import Code
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


def check(case: Case) -> Iterator[Finding]:
    """Find deadlines on steps, and steps that may fail half done, whose compensation takes no `Aborted`."""
    reported: set[str] = set()
    yield from _late(case, reported)
    for step in case.graph.steps.values():
        if not (step.handler and step.handler.partial and step.trigger.satisfied(case.order.reachable)):
            continue
        for undo in step.compensations:
            if not undo.aborted and undo.name not in reported:
                yield RULE.finding(
                    case.graph.name,
                    f"`{step.name}` can fail when it has done something, but `{undo.name}` admits no Aborted",
                    at(undo),
                    why="no event of a later step calls it then",
                    help="admit it, or say partial=False at the action where such an attempt did nothing:",
                    code=_code(case, step, undo),
                    steps=(step.name, undo.name),
                    related=(at(step.handler),),
                )


def _late(case: Case, reported: set[str]) -> Iterator[Finding]:
    for deadline in case.graph.deadlines:
        step = case.graph.steps.get(deadline.step)
        if step is None or not case.order.is_armed(deadline):
            continue
        for undo in step.compensations:
            if undo.aborted or undo.name in reported:
                continue
            reported.add(undo.name)
            yield RULE.finding(
                case.graph.name,
                f"`{deadline.name}` can undo `{deadline.step}`, but `{undo.name}` admits no Aborted",
                at(undo),
                why="no event of a later step calls it then",
                help="admit it:",
                code=_code(case, step, undo),
                steps=(deadline.name, undo.name),
                related=(at(deadline),),
            )


def _code(case: Case, step: Step, undo: HandlerEntry) -> Code:
    success = next(each for each in step.successes if step.compensation_for(each) is undo)
    return definition(case, step, undo, required_trigger(case.graph, success))
