"""CHO209 failure-after-pivot: a step can fail, or a deadline can pass, after the point of no return or beside
it.

Why it is bad: a pivot and a retriable step are never undone. If a step after them, or on a parallel branch,
fails, the saga can neither complete nor be rolled back. The same holds for a deadline whose step is never
triggered: one on a branch that a choice doesn't take, counted from an event before the choice. Where every
order of events was searched, and no run breaks anything (the step is a leaf, say), nothing is reported.

For example, where `settle` is the pivot:

    @ledger.action(kind="pivot", fails=SettlementFailed, partial=False)
    def settle(event: Credited, ctx: Context) -> Settled: ...

    @mail.action(fails=MailFailed)                       # the money has left
    def confirm(event: Settled, ctx: Context) -> Confirmed: ...

How to fix it: order the steps: compensatable ones first, then the pivot, then retriable ones. Let a pivot
wait for every branch before it (`A & B`, two parameters), not for any. Count a deadline from the event that
triggers its step. What is to react to a failure, a cancellation or the end is an observer, not an action.
"""

from __future__ import annotations

from collections.abc import Iterator

from choreo.events import short_name
from choreo.graph import SagaGraph, Step
from choreo.manifest import HandlerEntry
from choreo.outcome import CANCEL, FAILED, PIVOT, RETRIABLE, SUCCEEDED, TIMED_OUT
from choreo.verify.analysis.rightly_undone import rightly_undone
from choreo.verify.case import Case
from choreo.verify.code import NO_CODE
from choreo.verify.engine.counterexample import counterexamples
from choreo.verify.finding import Finding, at
from choreo.verify.join import join_meant
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
    told: set[str] = set()
    for step in case.graph.steps.values():
        late = _events_of_an_end(case, step)
        wrong = _on_an_end(case, step, late) if late else _failing(case, step)
        if wrong:
            told.add(step.name)
            yield wrong
    if any(True for _ in _beside_and_after(case, told, None)):
        yield from _beside_and_after(case, told, _harmful(case))


def _events_of_an_end(case: Case, step: Step) -> list[str]:
    """Return the events that call an action where each of its calls needs one that comes with the saga's end.

    That is a failure, a timeout, a compensation, a cancellation, or an event that ends the saga.
    """
    if step.handler is None or not step.trigger:
        return []
    ends = {name for name in step.trigger.types if _ends(case, name)}
    return sorted(next(step.trigger.clauses(ends.issuperset), ()))


def _ends(case: Case, name: str) -> bool:
    contract = case.graph.contract
    step, outcome = case.graph.outcome.get(name, ("", SUCCEEDED))
    return outcome != SUCCEEDED or step == CANCEL or name in (contract.completes, contract.fails)


def _on_an_end(case: Case, step: Step, events: list[str]) -> Finding:
    names = " or ".join(map(short_name, events))
    ends = {case.graph.contract.completes, case.graph.contract.fails}
    what = "the end of the saga" if ends & set(events) else "no success"
    function = step.function
    why = (
        "a retriable step is never undone, and the saga is rolled back then"
        if step.kind == RETRIABLE
        else "it is refused then, as the saga is over or is rolled back"
    )
    return RULE.finding(
        case.graph.name,
        f"`{step.name}` is an action on {names}, which is {what}",
        at(step.handler),
        why=why,
        help=f"make it an observer, which is called whatever happens: @{step.participant}.observer, and "
        f"`{function}` returns None",
        steps=(step.name, *events),
    )


def _failing(case: Case, step: Step) -> Finding | None:
    """Return a finding where a retriable step declares that it fails, which only a manifest can."""
    if step.kind != RETRIABLE or not step.failures:
        return None
    failures = ", ".join(map(short_name, step.failures))
    return RULE.finding(
        case.graph.name,
        f"`{step.name}` is retriable, and declares the failure {failures}",
        at(step.handler),
        why="a retriable step is retried until it succeeds: it can't fail",
        help=f"drop fails={failures}, or choose another kind",
        steps=(step.name, *step.failures),
    )


def _beside_and_after(case: Case, told: set[str], harmful: set[str] | None) -> Iterator[Finding]:
    """Return what can fail after and beside final steps; only what is ``harmful``, where that is known."""
    reported = set(told)
    if harmful is not None:
        reported |= case.graph.steps.keys() - harmful
    for final in case.graph.steps.values():
        if final.kind not in (PIVOT, RETRIABLE) or final.name in told:
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


def _harmful(case: Case) -> set[str] | None:
    """Return the steps that fail, or are late, in runs that break something; None if some aren't searched.

    The compensations are those that the steps should have.
    """
    right = rightly_undone(case.graph)
    if _triggers(right) == _triggers(case.graph):
        found = case.counterexamples
    else:
        found = tuple(counterexamples(right, case.budget.troubles, case.meter))
    if case.meter.exhausted:
        return None
    events = (event for each in found for event in each.run.events)
    return {event.step for event in events if event.outcome in (FAILED, TIMED_OUT)}


def _triggers(graph: SagaGraph) -> dict[str, list[object]]:
    return {step.name: [each.trigger for each in step.compensations] for step in graph.steps.values()}


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
        f"`{deadline.name}` can pass beside `{final.name}`, which is {_kind(final)} and never undone",
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
    return list({step.name: step for step in (*next_ones, *later, *case.order.beside(final))}.values())


def _finding(case: Case, final: Step, wrong: list[Step]) -> Finding:
    step = wrong[0]
    where = "after" if step.name in case.order.after[final.name] else "beside"
    function, last = step.function, final.function
    meant = join_meant(case, final) if final.name in case.order.after[step.name] else None
    return RULE.finding(
        case.graph.name,
        f"`{step.name}` can fail {where} `{final.name}`, which is {_kind(final)} and never undone",
        at(final.handler if meant else step.handler),
        why=f"`{last}` does not wait for it, as one event calls it and both come"
        if meant
        else "the saga could then neither complete nor be rolled back",
        help=f"{meant.help}:"
        if meant
        else f"put `{function}` before `{final.name}`, or make it retriable, without a failure, if it can be "
        "retried until it succeeds",
        code=meant.code if meant else NO_CODE,
        steps=(final.name, step.name),
        related=(at(step.handler if meant else final.handler), *(at(other.handler) for other in wrong[1:])),
    )


def _kind(step: Step) -> str:
    return "a pivot" if step.kind == PIVOT else step.kind
