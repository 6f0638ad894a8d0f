"""CHO301 unwatched: nobody but the owners gives up on some steps, so the saga waits while an owner is down.

Why it is bad: a `timeout=` is enforced by the owner of the step. While that is down, nothing times out: the
saga stays open, with what was done before, for as long as it takes.

For example, where `orders` and `shipping` wait for `charge`, and nobody has a deadline on it:

    @payments.action(fails=PaymentFailed, timeout=timedelta(minutes=2))
    def charge(event: OrderPlaced, ctx: Context) -> PaymentProcessed: ...

How to fix it: let a participant that waits declare a deadline on the step, or on a step after it:
`@orders.deadline(of="payments.charge", within=…)`, counted from an event before the step. Pivots and
retriable steps are exempt: they can't be given up.
"""

from __future__ import annotations

from collections.abc import Iterator

from choreo.graph import Step
from choreo.verify.case import Case
from choreo.verify.finding import Finding, at, enumerated, listed, plural
from choreo.verify.properties import Property
from choreo.verify.rule import UNCLEAR, Rule

RULE = Rule("CHO301", "unwatched", __doc__, "warning", unless=UNCLEAR, properties=(Property.WATCHED_STEPS,))


def check(case: Case) -> Iterator[Finding]:
    """Find the steps that others wait for and that only their owners time out: one finding for all of them.

    A step at which this is suppressed is one by itself.
    """
    open_steps = [step for step in case.graph.steps.values() if _is_unwatched(case, step)]
    open_steps.sort(key=lambda step: -len(case.order.after[step.name]))  # the first ones first
    accepted = {
        each.place for m in case.choreography.manifests for each in m.suppressions if each.rule == RULE.id
    }
    others = [step for step in open_steps if step.place not in accepted]
    for steps in (*([step] for step in open_steps if step.place in accepted), others):
        if steps:
            yield _finding(case, steps)


def _is_unwatched(case: Case, step: Step) -> bool:
    if step.kind != "compensatable" or step.handler is None or not _waiting(case, step):
        return False
    return not any(
        deadline.participant != step.participant
        and (deadline.step == step.name or deadline.step in case.order.after[step.name])
        and case.order.comes_without(step, deadline.trigger)
        for deadline in case.graph.deadlines
    )


def _waiting(case: Case, step: Step) -> set[str]:
    """Return the other participants that wait for a step."""
    handlers = (
        each for name in (*step.successes, *step.failures) for each in case.graph.consumers.get(name, ())
    )
    return {each.participant for each in handlers if each.task != "observer"} - {step.participant}


def _finding(case: Case, steps: list[Step]) -> Finding:
    timed = [step.name for step in steps if step.handler and step.handler.timeout_ms is not None]
    untimed = [step.name for step in steps if step.name not in timed]
    parts = (
        [f"nobody but {plural(timed, 'its owner', 'their owners')} gives up on {listed(timed)}"]
        if timed
        else []
    )
    parts += [f"nobody gives up on {listed(untimed)}"] if untimed else []
    waiting = sorted(set().union(*(_waiting(case, step) for step in steps)))
    names = {step.name for step in steps}
    last = next((step for step in steps if case.order.after[step.name].isdisjoint(names)), steps[-1])
    verb = plural(waiting, "waits", "wait")
    return RULE.finding(
        case.graph.name,
        ", and ".join(parts),
        at(steps[0].handler),
        why=f"{enumerated(waiting)} {verb} for as long as {plural(steps, 'the owner', 'an owner')} is down",
        help=f"let one who waits declare a deadline on {plural(steps, 'it', 'the last of them')}: "
        f'@{min(_waiting(case, last))}.deadline(of="{last.name}", within=…)',
        steps=tuple(step.name for step in steps),
        related=tuple(at(step.handler) for step in steps[1:]),
    )
