"""CHO702 missing-participant: the choreography refers to a participant, or to a step, that is missing.

Why it is bad: what is missing is not verified, and handlers that wait for it wait in vain.

For example, where no manifest of `payments` is given, or it has no step `charge`:

    @orders.deadline(of="payments.charge", within=timedelta(minutes=10))
    def payment_is_late(event: OrderCreated, ctx: Context) -> PaymentTimedOut: ...

How to fix it: give that participant's module or manifest, too, or correct the step's name: of one that was
renamed, the oldest, which is the last of its `formerly=`. Where a participant has left the saga, write the
lock again: `choreo verify --lock`.
"""

from __future__ import annotations

from collections.abc import Iterator

from choreo.verify.analysis.likeness import step_like
from choreo.verify.case import Case
from choreo.verify.finding import Finding, at
from choreo.verify.properties import Property
from choreo.verify.rule import Rule

RULE = Rule(
    "CHO702",
    "missing-participant",
    __doc__,
    "error",
    unless=("CHO112",),
    properties=(Property.EMITTED_TRIGGERS,),
)


def check(case: Case) -> Iterator[Finding]:
    """Find deadlines on steps that do not exist, and participants that only the lock knows."""
    graph = case.graph
    for deadline in graph.deadlines:
        if deadline.step in graph.steps:
            continue
        owner = deadline.step.partition(".")[0]
        close = step_like(graph, deadline.step)
        step = graph.steps.get(close)
        is_alias = bool(step and step.handler and deadline.step in step.handler.aliases)
        here = owner in graph.participants
        yield RULE.finding(
            graph.name,
            f"`{deadline.name}` watches `{deadline.step}`, and "
            f"{f'{owner} has no such step' if here else f'no participant {owner} is here'}",
            at(deadline),
            why="its time would pass in every saga",
            help=f'of="{close}": a step that was renamed is known by its oldest name'
            if is_alias
            else f"did you mean {close}?"
            if close
            else f"give the module or the manifest of {owner}, too",
            steps=(deadline.name, deadline.step),
        )
    yield from _only_in_lock(case)


def _only_in_lock(case: Case) -> Iterator[Finding]:
    sagas = case.lock.sagas if case.lock else ()
    locked = next((each.participants for each in sagas if each.contract.name == case.graph.name), ())
    for name in sorted(set(locked) - set(case.graph.participants)):
        yield RULE.finding(
            case.graph.name,
            f"{name} takes part by choreography.json, and is not here",
            why="what it does in the saga is not verified",
            help=f"give the module or the manifest of {name}, too, or, if it has left: choreo verify --lock",
            steps=(name,),
        )
