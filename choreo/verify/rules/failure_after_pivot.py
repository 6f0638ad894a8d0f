"""CHO209 failure-after-pivot: a step can fail, or a deadline can pass, after the point of no return or beside
it.

Why it is bad: a pivot and a retriable step are never undone. If a step after them, or on a parallel branch,
fails, the saga can neither complete nor be rolled back. The same holds for a deadline whose step is never
triggered: one on a branch that a choice doesn't take, counted from an event before the choice.

For example, where `settle` is the pivot:

    @ledger.action(kind="pivot", fails=SettlementFailed, partial=False)
    def settle(event: Credited, ctx: Context) -> Settled: ...

    @mail.action(fails=MailFailed)                       # the money has left
    def confirm(event: Settled, ctx: Context) -> Confirmed: ...

How to fix it: order the steps: compensatable ones first, then the pivot, then retriable ones. Count a
deadline from the event that triggers its step.
"""

from __future__ import annotations

from collections.abc import Iterator

from choreo.graph import Step
from choreo.manifest import HandlerEntry
from choreo.outcome import PIVOT, RETRIABLE
from choreo.verify.case import Case
from choreo.verify.finding import Finding, at
from choreo.verify.properties import Property
from choreo.verify.rule import UNCLEAR, Rule

RULE = Rule(
    "CHO209",
    "failure-after-pivot",
    __doc__,
    "error",
    unless=UNCLEAR,
    properties=(Property.NO_FAILURE_AFTER_PIVOT,),
)


def check(case: Case) -> Iterator[Finding]:
    """Find what can fail after or beside a pivot or a retriable step; one finding for each of these."""
    reported: set[str] = set()
    for final in case.graph.steps.values():
        if final.kind not in (PIVOT, RETRIABLE):
            continue
        wrong = [
            step for step in _after_and_beside(case, final) if step.can_fail and step.name not in reported
        ]
        if wrong:
            reported |= {final.name, *(step.name for step in wrong)}
            yield _finding(case, final, wrong)
            continue
        late = [each for each in _unanswered(case, final) if not {each.name, each.step} & reported]
        if late:
            reported |= {final.name, *(each.name for each in late)}
            yield _late(case, final, late)


def _unanswered(case: Case, final: Step) -> list[HandlerEntry]:
    """Return the deadlines that may pass beside a step because nothing triggers the step that they watch."""
    others = {step.name for step in (final, *_after_and_beside(case, final))}
    return [
        deadline
        for deadline in case.graph.deadlines
        if deadline.step not in others and case.order.may_pass(deadline, final)
    ]


def _late(case: Case, final: Step, late: list[HandlerEntry]) -> Finding:
    deadline = late[0]
    return RULE.finding(
        case.graph.name,
        f"`{deadline.name}` can pass beside `{final.name}`, which is {final.kind} and never undone",
        at(deadline),
        why=f"it passes where `{deadline.step}` is never triggered, and the saga can't be rolled back then",
        help=f"count it from the event that triggers `{deadline.step}`",
        steps=(final.name, deadline.name),
        related=(at(final.handler), *(at(other) for other in late[1:])),
    )


def _after_and_beside(case: Case, final: Step) -> list[Step]:
    """Return the steps after a step, the next ones first, and the steps beside it."""
    steps = case.graph.steps
    next_ones = [step for success in final.successes for step in case.graph.triggered.get(success, ())]
    later = [steps[name] for name in steps if name in case.order.after[final.name]]
    return list(dict.fromkeys((*next_ones, *later, *case.order.beside(final))))


def _finding(case: Case, final: Step, wrong: list[Step]) -> Finding:
    step = wrong[0]
    where = "after" if step.name in case.order.after[final.name] else "beside"
    function = step.name.partition(".")[2]
    return RULE.finding(
        case.graph.name,
        f"`{step.name}` can fail {where} `{final.name}`, which is {final.kind} and never undone",
        at(step.handler),
        why="the saga could then neither complete nor be rolled back",
        help=f"put `{function}` before `{final.name}`, or, if it can be retried until it succeeds:",
        paste=(f'@{step.participant}.action(kind="retriable")', f"def {function}(…): …"),
        steps=(final.name, step.name),
        related=(at(final.handler), *(at(other.handler) for other in wrong[1:])),
    )
