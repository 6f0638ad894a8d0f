"""CHO204 compensation-order: a compensation may run before that of a later step.

Why it is bad: the later step may still be running, or may need what this one takes away: stock is released
while the customer is still charged for it. The textbook choreography, in which every participant reacts to
ShipmentFailed at once, has this defect.

For example, where `charge` came after `reserve`:

    @inventory.compensation(of=reserve)
    def release(event: PaymentFailed | ShipmentFailed, reserved: Reserved, ctx: Context) -> Released: ...

    @payments.compensation(of=charge)
    def refund(event: ShipmentFailed, charged: PaymentProcessed, ctx: Context) -> PaymentRefunded: ...

How to fix it: trigger a compensation by the *end* of all steps that its action triggers: by their failures,
or by their compensated events. The help of the finding has the line.
"""

from __future__ import annotations

from collections.abc import Iterator

from choreo.events import short_name
from choreo.graph import Step
from choreo.outcome import COMPENSATED
from choreo.verify.analysis.rollback import Declared, declared, early_call
from choreo.verify.case import Case
from choreo.verify.engine.run import Run, RunLine
from choreo.verify.finding import Finding, at, enumerated, plural
from choreo.verify.properties import Property
from choreo.verify.rule import UNCLEAR, Rule
from choreo.verify.suggestion import definition

RULE = Rule(
    "CHO204",
    "compensation-order",
    __doc__,
    "error",
    unless=(*UNCLEAR, "CHO202", "CHO208"),
    properties=(Property.REVERSE_ORDER,),
)


def check(case: Case) -> Iterator[Finding]:
    """Find compensations with a trigger that comes before the reverse edges allow it (rule R7)."""
    for each in declared(case.order):
        early = early_call(case.order, each)
        if early:
            yield _finding(case, each, _shown(case, each, *early), early[1])


def _shown(case: Case, each: Declared, option: frozenset[str], late: list[Step]) -> frozenset[str]:
    """Return events that call a compensation too early in a run; these ones where there is none."""
    if not late or case.shortest_run(option, each.step.name):
        return option
    ends = {*late[0].failures, *late[0].answers}

    def is_early(run: Run) -> bool:
        come = {event.type for event in run.events}
        return each.success in come and each.undo.trigger.satisfied(come - ends)

    run = case.shortest(is_early)
    return each.undo.trigger.alternative({event.type for event in run.events} - ends) if run else option


def _finding(case: Case, each: Declared, option: frozenset[str], late: list[Step]) -> Finding:
    called_by = enumerated(sorted(map(short_name, option)) or ["the saga's first failure"])
    undo, step = each.undo, each.step
    if late:
        other = late[0].compensations[0].name if late[0].compensations else late[0].name
        message = f"`{undo.name}` may run before `{other}`"
        why = (
            f"{called_by} {plural(option, 'calls', 'call')} it, but `{late[0].name}` came after "
            f"`{step.name}`, so it must be undone first"
        )
    else:
        message = f"`{undo.name}` is called by {called_by}, which is no failure"
        why = f"`{step.name}` would be undone in a saga that goes well"
    scenario, lines = _run_of(case, each, option, late)
    code = definition(case, step, undo, each.needs)
    return RULE.finding(
        case.graph.name,
        message,
        at(undo),
        why=why,
        help=f"trigger `{undo.name.partition('.')[2]}` by the end of what comes after its step:",
        code=code,
        steps=(undo.name, *sorted(option)),
        related=tuple(at(next(iter(other.compensations), other.handler)) for other in late),
        scenario=scenario,
        run=lines,
    )


def _run_of(
    case: Case, each: Declared, option: frozenset[str], late: list[Step]
) -> tuple[str, tuple[RunLine, ...]]:
    """Return a run in which both are undone, the wrong one first, with a mark at that line."""
    run = case.shortest_run(option, each.step.name, *(step.name for step in late[:1])) or case.shortest_run(
        option, each.step.name
    )
    if run is None:
        return "", ()
    mine = run.index(each.step.name, COMPENSATED)
    other = run.index(late[0].name, COMPENSATED) if late else -1
    if mine >= 0 and late and other < 0:
        return run.scenario.title, run.lines(run.cone(mine), {mine: f"<- `{late[0].name}` may still be done"})
    if mine < 0 or other < 0:
        return run.scenario.title, run.lines(run.cone(max(mine, other, max(run.valid))))
    return run.scenario.title, _marked_lines(run, mine, other)


def _marked_lines(run: Run, mine: int, other: int) -> tuple[RunLine, ...]:
    numbers = run.cone(mine, other)
    if not run.is_before(other, mine):
        numbers.remove(mine)
        numbers.insert(numbers.index(other), mine)
    position = numbers.index(other) + 1
    return run.lines(numbers, {mine: f"<- before {position}"})
