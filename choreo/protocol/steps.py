"""The life of an own step: triggered, refused, undone, answered (rules R4, R5, R6 and R7)."""

from __future__ import annotations

from choreo.outcome import COMPENSATED, FAILED, TIMED_OUT, StepState
from choreo.protocol.decisions import Answer, Bury, Decision, Drop, Moved, Queue
from choreo.protocol.instance import PENDING, Instance, Progress
from choreo.protocol.role import Action, Role, Undo


def move(saga: Instance, step: str, progress: Progress, out: list[Decision], note: str = "") -> None:
    """Write an own step's progress down; a change of state is a row of the saga log."""
    before = saga.step(step)
    saga.steps[step] = progress
    if before.state != progress.state:
        out.append(Moved(step, before.state, progress.state, note))


def trigger(role: Role, saga: Instance, action: Action, out: list[Decision]) -> None:
    """Queue an action whose trigger has come whole; refuse it when the saga is aborted (R4, R6)."""
    progress = saga.step(action.step)
    if progress.state != "pending" or progress.activity != "idle":
        return
    whole = action.trigger.satisfied(saga.types)
    if not whole and not (saga.aborted and action.can_fail):
        return
    reason = unfit(role, saga)
    if reason:
        saga.steps[action.step] = progress._replace(activity="dead")
        out.append(Bury("action", action.step, reason))
    elif action.can_fail and (saga.aborted or _called(saga, action)):
        refuse(saga, action, out)
    elif not (action.can_fail and saga.end):
        saga.steps[action.step] = progress._replace(activity="queued")
        out.append(Queue("action", action.step))


def unfit(role: Role, saga: Instance) -> str:
    """Say why this participant must not act on the saga at all; empty where it may."""
    if not saga.started:
        return "incomplete-history"
    if saga.version > role.contract.version:
        return "unknown-version"
    return ""


def refuse(saga: Instance, action: Action, out: list[Decision]) -> None:
    """End a step without an attempt: whoever did the work before it waits for an answer (R4, R5)."""
    move(saga, action.step, Progress("refused"), out)
    answer(saga, action, out, "the saga is aborted")


def answer(saga: Instance, action: Action, out: list[Decision], reason: str) -> None:
    """Answer a step that did nothing: failed, or compensated where a failure would be void (R5).

    After the end nobody waits, and nothing that counts could be said.
    """
    if saga.end:
        return
    if saga.outcomes.get(action.step) == TIMED_OUT:
        out.append(Answer(action.step, COMPENSATED, action.undo[0].answer if action.undo else "", reason))
    else:
        out.append(Answer(action.step, FAILED, action.failure, reason))


def refuse_what_waits(role: Role, saga: Instance, out: list[Decision]) -> None:
    """At the abort or the end: half-filled joins, what is queued and what backs off end there (R4, R8)."""
    for name, progress in list(saga.steps.items()):
        waits = progress.activity in ("queued", "waiting") and progress.state != "compensating"
        if waits and role.action[name].can_fail:
            out.append(Drop("action", name))
            give_up(saga, role.action[name], out)
    for action in role.joins:
        if action.can_fail and saga.step(action.step) == PENDING and action.trigger.touched(saga.types):
            if saga.end:
                refuse(saga, action, out)
            else:
                trigger(role, saga, action, out)


def give_up(saga: Instance, action: Action, out: list[Decision]) -> None:
    """End a step that was triggered and is not to be attempted (again)."""
    progress = saga.step(action.step)
    if action.partial and progress.attempt:
        undo_partial(saga, action, out, "the saga is aborted")
    else:
        refuse(saga, action, out)


def undo_if_called(saga: Instance, action: Action, out: list[Decision]) -> None:
    """Compensate a completed step whose compensation has been called (R7).

    A call bars a step that is pending, and waits for the result of one that executes: both follow from
    the state of the saga when the trigger, or the result, comes (R5).
    """
    progress = saga.step(action.step)
    undo = undo_for(action, progress.result) if progress.state == "completed" else None
    if undo and is_called(saga, action, undo):
        compensate(saga, action, out)


def timed_out(saga: Instance, action: Action, out: list[Decision]) -> None:
    """Take a deadline's verdict on an own step: undo what was done, or confirm that nothing was (R5)."""
    if saga.step(action.step).state in ("failed", "refused"):
        answer(saga, action, out, "timed out")
    else:
        undo_if_called(saga, action, out)


def undo_for(action: Action, result: str) -> Undo | None:
    """Give the compensation that undoes what the success event ``result`` says was done."""
    for undo in action.undo:
        if undo.serves(result):
            return undo
    return None


def is_called(saga: Instance, action: Action, undo: Undo) -> bool:
    """Say whether a compensation is due (R7): by its reverse edges, the first failure, or its own timeout."""
    if saga.outcomes.get(action.step) == TIMED_OUT:
        return True
    if undo.is_leaf:
        return bool(saga.failing)
    return undo.trigger.satisfied(saga.types)


def _called(saga: Instance, action: Action) -> bool:
    return any(is_called(saga, action, undo) for undo in action.undo)


def compensate(saga: Instance, action: Action, out: list[Decision]) -> None:
    """Begin to undo what an action did."""
    progress = saga.step(action.step)
    move(saga, action.step, Progress("compensating", "queued", progress.result), out)
    out.append(Queue("compensation", action.step))


def undo_partial(saga: Instance, action: Action, out: list[Decision], reason: str) -> None:
    """Undo what an attempt that raised may have done outside, before its failure is published."""
    progress = Progress("compensating", "queued", owes_failure=True, reason=reason)
    move(saga, action.step, progress, out, reason)
    out.append(Queue("compensation", action.step))


def settle(saga: Instance, action: Action, state: StepState, out: list[Decision], reason: str) -> None:
    """End an action, or the compensation of a partial one, in a failure."""
    move(saga, action.step, Progress(state, reason=reason), out, reason)
    answer(saga, action, out, reason)
