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
    """Find steps that can fail behind a pivot or a retriable step, or beside one."""
    told: set[str] = set()
    for final in case.graph.steps.values():
        if final.kind not in (PIVOT, RETRIABLE):
            continue
        after = [case.graph.steps[name] for name in sorted(case.order.after[final.name])]
        for where, steps in (("after", after), ("beside", list(case.order.beside(final)))):
            for step in steps:
                if step.can_fail and not {step.name, final.name} <= told:
                    told |= {step.name, final.name}
                    yield _finding(case, final, step, where)


def _finding(case: Case, final: Step, step: Step, where: str) -> Finding:
    function = step.name.partition(".")[2]
    return RULE.finding(
        case.graph.name,
        f"`{step.name}` can fail {where} `{final.name}`, which is {final.kind} and never undone",
        at(step.handler),
        why="the saga could then neither complete nor be rolled back",
        help=f"put `{function}` before `{final.name}`, or, if it can be retried until it succeeds:",
        paste=(f'@{step.participant}.action(kind="retriable")', f"def {function}(…): …"),
        steps=(final.name, step.name),
        related=(at(final.handler),),
    )
