"""The rules for local commands: a step begins, ends, backs off, dies and is requeued; a deadline is due."""

from __future__ import annotations

from choreo.outcome import COMPENSATED, SUCCEEDED, TIMED_OUT
from choreo.protocol import steps
from choreo.protocol.decisions import Answer, Bury, Decision, Expire, Publish, Queue, Run, Task
from choreo.protocol.inputs import (
    Begin,
    Buried,
    Deferred,
    Discarded,
    Due,
    Ended,
    Observed,
    Pruned,
    Requeued,
)
from choreo.protocol.instance import Instance, Progress
from choreo.protocol.role import Action, Role

_ENDED = ("failed", "refused", "compensated")
"""The states of a step that has nothing left to do but to answer."""


def begin(role: Role, saga: Instance, told: Begin, out: list[Decision]) -> None:
    """Decide, by what is known now, whether a step that was queued or backed off may still run."""
    action = role.action[told.step]
    progress = saga.step(told.step)
    if progress.activity not in ("queued", "waiting", "running"):
        return
    if progress.state == "compensating":
        saga.steps[told.step] = progress._replace(activity="running")
        out.append(Run("compensation", told.step))
    elif progress.activity != "running" and _too_late(saga, action, told):
        steps.give_up(saga, action, out)
    else:
        steps.move(saga, told.step, progress._replace(state="executing", activity="running"), out)
        out.append(Run("action", told.step))


def _too_late(saga: Instance, action: Action, told: Begin) -> bool:
    if action.can_fail:
        return saga.aborted or bool(saga.end)
    # A retriable step is never refused, but who joins a topic does nothing for sagas that ended without it.
    return told.joining and bool(saga.end)


def ended(role: Role, saga: Instance, told: Ended, out: list[Decision]) -> None:
    """Take the result of a handler that ran: of an action, of a compensation, or of the start."""
    action = role.action[told.step]
    progress = saga.step(told.step)
    if told.outcome == COMPENSATED:
        if progress.state == "compensating":
            _undone(saga, action, told, out)
    elif _is_under_way(action, progress):
        if told.outcome == SUCCEEDED:
            _succeeded(saga, action, told, out)
        elif told.how == "partial":
            steps.undo_partial(saga, action, out, told.reason)
        else:
            _failed(saga, action, told, out)


def _is_under_way(action: Action, progress: Progress) -> bool:
    if not action.trigger.alternatives:
        return progress.state == "pending"  # the start: triggered by nothing but itself
    return progress.state in ("pending", "executing") and progress.activity != "idle"


def _succeeded(saga: Instance, action: Action, told: Ended, out: list[Decision]) -> None:
    steps.move(saga, action.step, Progress("completed", result=told.type), out)
    out.append(Publish(action.step, told.outcome, told.type))
    steps.undo_if_called(saga, action, out)


def _failed(saga: Instance, action: Action, told: Ended, out: list[Decision]) -> None:
    if told.how == "returned" and saga.outcomes.get(action.step) != TIMED_OUT:
        steps.move(saga, action.step, Progress("failed"), out)
        out.append(Publish(action.step, told.outcome, told.type))
    else:
        steps.settle(saga, action, "failed", out, told.reason)


def _undone(saga: Instance, action: Action, told: Ended, out: list[Decision]) -> None:
    progress = saga.step(action.step)
    if progress.owes_failure and saga.outcomes.get(action.step) != TIMED_OUT:
        steps.settle(saga, action, "failed", out, progress.reason or told.reason)
        return
    steps.move(saga, action.step, Progress("compensated", result=progress.result), out)
    if told.how == "returned":
        out.append(Publish(action.step, COMPENSATED, told.type))
    else:
        out.append(Answer(action.step, COMPENSATED, told.type, told.reason))


def deferred(role: Role, saga: Instance, told: Deferred, out: list[Decision]) -> None:
    """Count an attempt that failed; a step whose saga was aborted meanwhile is not tried again."""
    if told.name not in role.action:
        return  # an observer: its event stays the oldest of those that wait
    action = role.action[told.name]
    progress = saga.step(told.name)
    if progress.activity in ("idle", "dead"):
        return
    waiting = progress._replace(activity="waiting", attempt=progress.attempt + 1)
    if progress.state == "compensating":
        saga.steps[told.name] = waiting
        return
    steps.move(saga, told.name, waiting._replace(state="executing"), out, told.reason)
    if action.can_fail and (saga.aborted or saga.end):
        steps.give_up(saga, action, out)


def buried(role: Role, saga: Instance, told: Buried, out: list[Decision]) -> None:
    """Stop a step, or skip an observer's event, until somebody mends and requeues it."""
    if told.name in role.action:
        saga.steps[told.name] = saga.step(told.name)._replace(activity="dead")
    else:
        _next_event(saga, told.name, out)


def requeued(role: Role, saga: Instance, told: Requeued, out: list[Decision]) -> None:
    """Try a dead letter again: whether it may still run is decided when it begins."""
    if told.name in role.action:
        _requeue_step(role, saga, role.action[told.name], out)
    elif told.name in role.deadline:
        if saga.deadlines.get(told.name) == "armed":
            out.append(Queue("deadline", told.name))
    else:
        waiting = saga.observers.get(told.name, ())
        saga.observers[told.name] = (*waiting, told.event_id)
        if not waiting:
            out.append(Queue("observer", told.name))


def _requeue_step(role: Role, saga: Instance, action: Action, out: list[Decision]) -> None:
    progress = saga.step(action.step)
    if progress.activity != "dead":
        return
    if progress.state in _ENDED:
        _answer_at_last(saga, action, out, progress.reason)
        return
    task: Task = "compensation" if progress.state == "compensating" else "action"
    reason = steps.unfit(role, saga)
    if reason:
        out.append(Bury(task, action.step, reason))
        return
    saga.steps[action.step] = progress._replace(activity="queued")
    out.append(Queue(task, action.step))


def discarded(role: Role, saga: Instance, told: Discarded, out: list[Decision]) -> None:
    """Settle a dead letter by hand: a compensation counts as done, an action as failed."""
    if told.name in role.action:
        _discard_step(saga, role.action[told.name], told.reason, out)
    elif saga.deadlines.get(told.name) == "armed":
        saga.deadlines[told.name] = "over"


def _discard_step(saga: Instance, action: Action, reason: str, out: list[Decision]) -> None:
    progress = saga.step(action.step)
    if progress.activity != "dead":
        return
    if progress.state in _ENDED:
        _answer_at_last(saga, action, out, reason)
    elif progress.state == "compensating" and not progress.owes_failure:
        steps.move(saga, action.step, Progress("compensated", result=progress.result), out, reason)
        _confirm(saga, action, out, reason)
    elif action.can_fail:  # a retriable step has no failure to answer with: it can only be requeued
        steps.settle(saga, action, "failed", out, reason)


def _answer_at_last(saga: Instance, action: Action, out: list[Decision], reason: str) -> None:
    """Answer for a step that has ended, and whose answer was the dead letter."""
    progress = saga.step(action.step)
    saga.steps[action.step] = progress._replace(activity="idle")
    if progress.state == "compensated":
        _confirm(saga, action, out, reason)
    else:
        steps.answer(saga, action, out, reason or "the saga is aborted")


def _confirm(saga: Instance, action: Action, out: list[Decision], reason: str) -> None:
    undo = steps.undo_for(action, saga.step(action.step).result)
    out.append(Answer(action.step, COMPENSATED, undo.answer if undo else "", reason))


def observed(role: Role, saga: Instance, told: Observed, out: list[Decision]) -> None:
    """An observer has done with the oldest event that waited; the next one's turn."""
    _next_event(saga, told.name, out)


def _next_event(saga: Instance, name: str, out: list[Decision]) -> None:
    waiting = saga.observers.get(name, ())[1:]
    if waiting:
        saga.observers[name] = waiting
        out.append(Queue("observer", name))
    else:
        saga.observers.pop(name, None)


def due(role: Role, saga: Instance, told: Due, out: list[Decision]) -> None:
    """A deadline's time has come: if its step still has no outcome, it is timed out."""
    if saga.deadlines.get(told.deadline) == "armed":
        saga.deadlines[told.deadline] = "fired"
        out.append(Expire(told.deadline))


def pruned(role: Role, saga: Instance, told: Pruned, out: list[Decision]) -> None:
    """The saga is only remembered to have ended: nothing that comes of it now can start anything."""
    saga.end, saga.pruned = told.end, True
