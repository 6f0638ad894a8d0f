"""failure-after-pivot: something can fail after the point of no return, or beside it.

Why it is bad: a pivot and a retriable step are never undone. If a step after them, or on a parallel branch,
fails, the saga can neither complete nor be rolled back.

For example, where `settle` is the pivot:

    @ledger.action(kind="pivot", fails=SettlementFailed, partial=False)
    def settle(event: Credited, ctx: Context) -> Settled: ...

    @mail.action(fails=MailFailed)                       # and then? the money has left
    def confirm(event: Settled, ctx: Context) -> Confirmed: ...

How to mend it: order the steps: compensatable ones first, then the pivot, then retriable ones.
"""

from __future__ import annotations

from collections.abc import Iterator

from choreo.choreography import Step
from choreo.outcome import PIVOT, RETRIABLE
from choreo.verify.case import Case
from choreo.verify.finding import Finding, at
from choreo.verify.rule import UNCLEAR, Rule

RULE = Rule(__name__, __doc__ or "", "error", unless=UNCLEAR)


def check(case: Case) -> Iterator[Finding]:
    """Find steps that can fail behind a pivot or a retriable step, or beside one; one finding for each such
    one."""
    told: set[str] = set()
    for final in case.graph.steps.values():
        if final.kind not in (PIVOT, RETRIABLE):
            continue
        wrong = [step for step in _after_and_beside(case, final) if step.can_fail and step.name not in told]
        if wrong:
            told |= {final.name, *(step.name for step in wrong)}
            yield _finding(case, final, wrong)


def _after_and_beside(case: Case, final: Step) -> list[Step]:
    """Give what comes after a step, the next ones first, and what runs beside it."""
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
