"""CHO212 never-rolled-back: a step has a compensation, and nothing after or beside it can fail.

Why it is bad: its compensation is code that never runs. Mostly the step is the point of no return: then
declare it so.

For example, where `create` is the last step that can fail:

    @shipping.action(fails=ShipmentFailed)
    def create(event: PaymentProcessed, ctx: Context) -> ShipmentCreated: ...

    @shipping.compensation(of=create)
    def cancel(event: Aborted, created: ShipmentCreated, ctx: Context) -> ShipmentCancelled: ...

How to fix it: declare `kind="pivot"`, and drop the compensation; or, if another participant is to give up
on the step after some time, let it declare a deadline.
"""

from __future__ import annotations

from collections.abc import Iterator

from choreo.events import short_name
from choreo.graph import Step
from choreo.verify.case import Case
from choreo.verify.finding import Finding, at, listed
from choreo.verify.rule import UNCLEAR, Rule

RULE = Rule("CHO212", "never-rolled-back", __doc__, "warning", unless=(*UNCLEAR, "CHO201", "CHO209"))


def check(case: Case) -> Iterator[Finding]:
    """Find compensatable steps that no failure and no deadline could undo."""
    watched = {deadline.step for deadline in case.graph.deadlines}
    for step in case.graph.steps.values():
        if step.kind != "compensatable" or step.name in watched or not step.compensations:
            continue
        if any(success in case.order.reachable for success in step.successes) and not _can_be_undone(
            case, step
        ):
            yield _finding(case, step)


def _can_be_undone(case: Case, step: Step) -> bool:
    return bool(step.handler and step.handler.partial) or any(map(case.order.may_be_undone, step.successes))


def _finding(case: Case, step: Step) -> Finding:
    undo = step.compensations[0].name.partition(".")[2]
    waiting = sorted(
        {
            handler.name
            for name in step.answers
            for handler in case.graph.consumers.get(name, ())
            if not handler.derived
        }
    )
    answers = " and ".join(map(short_name, step.answers))
    rest = f", and without {answers} in {listed(waiting)}" if waiting else ""
    return RULE.finding(
        case.graph.name,
        f"nothing can undo `{step.name}`: no step after or beside it can fail",
        at(step.handler),
        why="its compensation never runs",
        help=f'is it a pivot? then kind="pivot", without `{undo}`{rest}',
        steps=(step.name,),
        related=(at(step.compensations[0]),),
    )
