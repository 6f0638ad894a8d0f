"""The life of an own step: triggered, refused, compensated, answered (R4, R5, R6 and R7)."""

from __future__ import annotations

from choreo.outcome import COMPENSATED, FAILED, SUCCEEDED, TIMED_OUT, Outcome, StepState
from choreo.protocol.decisions import Answer, Bury, Decision, Drop, Moved, Queue
from choreo.protocol.instance import PENDING, Instance, Progress
from choreo.protocol.role import Action, Compensation, Role, compensation_for

_STATE_OF: dict[Outcome, StepState] = {SUCCEEDED: "completed", FAILED: "failed", COMPENSATED: "compensated"}

UNKNOWN_VERSION = "unknown-version"
"""The reason of a dead letter of a saga that is of a newer version than this release of the service knows."""

NOT_TAKEN = "not-taken"
"""The reason of a dead letter of an event that waited for an observer which does not take it any more."""


def move(saga: Instance, step: str, progress: Progress, out: list[Decision], note: str = "") -> None:
    """Record an own step's progress; a change of its state is a row of the saga log."""
    before = saga.steps.get(step, PENDING)
    saga.steps[step] = progress
    if before.state != progress.state:
        out.append(Moved(step, before.state, progress.state, note))


def trigger(role: Role, saga: Instance, action: Action, out: list[Decision]) -> None:
    """Queue an action whose trigger is satisfied, or refuse it when the saga is aborted (R4, R6)."""
    progress = saga.steps.get(action.step, PENDING)
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
    """Return the reason why this participant must not act on the saga, empty where it may."""
    if not saga.started:
        return "incomplete-history"
    if saga.version > role.contract.version:
        return UNKNOWN_VERSION
    return ""


def refuse(saga: Instance, action: Action, out: list[Decision]) -> None:
    """End a step without an attempt, and answer its predecessors (R4, R5)."""
    move(saga, action.step, Progress("refused"), out)
    answer(saga, action, out, "the saga is aborted")


def answer(saga: Instance, action: Action, out: list[Decision], reason: str) -> None:
    """Publish that a step did nothing: its failure, or its compensated event where a failure is void (R5).

    Nothing is published after the end of the saga, where nobody waits for it, unless it is still rolled back.
    """
    if saga.is_at_rest:
        return
    if saga.outcomes.get(action.step) == TIMED_OUT:
        out.append(
            Answer(
                action.step,
                COMPENSATED,
                action.compensations[0].answer if action.compensations else "",
                reason,
            )
        )
    else:
        out.append(Answer(action.step, FAILED, action.failure, reason))


def refuse_waiting(role: Role, saga: Instance, out: list[Decision]) -> None:
    """Refuse, at the abort or the end, half-filled joins and steps queued or backing off (R4, R8)."""
    waiting = [name for name, progress in saga.steps.items() if progress.activity in ("queued", "waiting")]
    for name in waiting:
        waits = name in role.action and saga.steps[name].state != "compensating"
        if waits and role.action[name].can_fail:
            out.append(Drop("action", name))
            give_up(saga, role.action[name], out)
    for action in role.joins:
        is_pending = saga.steps.get(action.step, PENDING) == PENDING
        if is_pending and action.can_fail and action.trigger.touched(saga.types):
            if saga.end:
                refuse(saga, action, out)
            else:
                trigger(role, saga, action, out)


def give_up(saga: Instance, action: Action, out: list[Decision]) -> None:
    """End a step that was triggered and is not attempted, or not again: refuse it or compensate it."""
    progress = saga.step(action.step)
    if action.partial and progress.attempt:
        compensate_partial(saga, action, out, "the saga is aborted")
    else:
        refuse(saga, action, out)


def compensate_if_called(saga: Instance, action: Action, out: list[Decision]) -> None:
    """Compensate a completed step whose compensation has been called (R7).

    A call before the trigger bars the step, and one while it executes waits for the result: both follow
    from the state of the saga at the trigger and at the result (R5).
    """
    if saga.step(action.step).state == "completed" and is_undone(saga, action):
        compensate(saga, action, out)


def is_undone(saga: Instance, action: Action) -> bool:
    """Whether the compensation for the event that a step emitted has been called (R7)."""
    compensation = compensation_for(action.compensations, saga.step(action.step).result)
    return compensation is not None and is_called(saga, action, compensation)


def timed_out(saga: Instance, action: Action, out: list[Decision]) -> None:
    """Compensate an own step that a deadline timed out, or confirm that it did nothing (R5)."""
    if saga.step(action.step).state in ("failed", "refused"):
        answer(saga, action, out, "timed out")
    else:
        compensate_if_called(saga, action, out)


def is_called(saga: Instance, action: Action, compensation: Compensation) -> bool:
    """Whether a compensation is due: by its reverse edges, the first failure, or its step's timeout (R7)."""
    if saga.outcomes.get(action.step) == TIMED_OUT:
        return True
    if compensation.is_leaf:
        return bool(saga.failing)
    return compensation.trigger.satisfied(saga.types)


def _called(saga: Instance, action: Action) -> bool:
    return any(is_called(saga, action, compensation) for compensation in action.compensations)


def compensate(saga: Instance, action: Action, out: list[Decision]) -> None:
    """Queue the compensation of an action."""
    progress = saga.step(action.step)
    move(saga, action.step, Progress("compensating", "queued", progress.result), out)
    out.append(Queue("compensation", action.step))


def compensate_partial(
    saga: Instance, action: Action, out: list[Decision], reason: str, failure: str = ""
) -> None:
    """Queue the compensation of an attempt that raised; the failure is published once it is done.

    ``failure`` is the event that a later attempt returned.
    """
    progress = Progress("compensating", "queued", owes_failure=True, reason=reason, failure=failure)
    move(saga, action.step, progress, out, reason)
    out.append(Queue("compensation", action.step))


def adopt(role: Role, saga: Instance, event_id: str, out: list[Decision]) -> None:
    """Take an unowned outcome as this participant's own; after the last one, go on where the saga stands now.

    The step counts as done as the topic says, so it is not done again (R6), and what its success calls
    for later is done.
    """
    step, outcome, event_type = saga.unowned.pop(event_id)
    progress = saga.step(step)
    if progress.activity != "running":  # its own result comes
        result = event_type if outcome == SUCCEEDED else progress.result
        move(saga, step, Progress(_STATE_OF[outcome], result=result), out, "adopted")
    if not saga.unowned:
        _catch_up(role, saga, out)


def _catch_up(role: Role, saga: Instance, out: list[Decision]) -> None:
    """Queue, refuse or compensate each own step as all events together call for, after a quarantine."""
    for action in role.actions:
        progress = saga.step(action.step)
        if progress.activity in ("queued", "waiting"):
            out.append(Queue(progress.task, action.step))
        elif saga.outcomes.get(action.step) == TIMED_OUT:
            timed_out(saga, action, out)
        else:
            compensate_if_called(saga, action, out)
        if action.trigger.touched(saga.types):
            trigger(role, saga, action, out)


def catch_up(role: Role, saga: Instance, action: Action, out: list[Decision]) -> None:
    """Compensate, queue or refuse an idle step as all events so far call for, by new declarations."""
    if not saga.unowned:
        compensate_if_called(saga, action, out)
        if action.trigger.touched(saga.types):
            trigger(role, saga, action, out)


def settle(saga: Instance, action: Action, state: StepState, out: list[Decision], reason: str) -> None:
    """End an action, or the compensation of a partial one, with its failure."""
    move(saga, action.step, Progress(state, reason=reason), out, reason)
    answer(saga, action, out, reason)
