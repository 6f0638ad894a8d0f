"""Folding of local commands: a step begins, ends, backs off, is buried or requeued; a deadline is due."""

from __future__ import annotations

from choreo.outcome import COMPENSATED, FAILED, SUCCEEDED, TIMED_OUT
from choreo.protocol import events, steps
from choreo.protocol.decisions import Answer, Bury, Decision, Expire, Publish, Queue, Run
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
from choreo.protocol.role import Action, Role, compensation_for

_ENDED = ("failed", "refused", "compensated")
"""The states in which only a step's answer may be missing."""


def begin(role: Role, saga: Instance, command: Begin, out: list[Decision]) -> None:
    """Decide whether a step that was queued or backing off may still run (R4)."""
    action = role.action[command.step]
    progress = saga.step(command.step)
    if progress.activity not in ("queued", "waiting", "running") or saga.unowned:
        return
    if progress.state == "compensating":
        saga.steps[command.step] = progress._replace(activity="running")
        out.append(Run("compensation", command.step))
    elif progress.activity != "running" and _too_late(saga, action, command):
        steps.give_up(saga, action, out)
    else:
        # One that runs already was under way when the process ended.
        attempt = progress.attempt + (progress.activity == "running")
        begun = progress._replace(state="executing", activity="running", attempt=attempt)
        steps.move(saga, command.step, begun, out)
        out.append(Run("action", command.step))


def _too_late(saga: Instance, action: Action, command: Begin) -> bool:
    if action.can_fail:
        return saga.aborted or bool(saga.end)
    # A retriable step is never refused, but a participant new to the topic does nothing for ended sagas.
    return command.joining and bool(saga.end)


def ended(role: Role, saga: Instance, command: Ended, out: list[Decision]) -> None:
    """Fold the result of a handler: of an action, of a compensation, or of the start."""
    action = role.action[command.step]
    progress = saga.step(command.step)
    if command.outcome == COMPENSATED:
        if progress.state == "compensating":
            _undone(saga, action, command, out)
    elif _is_under_way(action, progress):
        if command.outcome == SUCCEEDED:
            _succeeded(saga, action, command, out)
        elif command.how == "partial":
            steps.compensate_partial(saga, action, out, command.reason, command.type)
        else:
            _failed(saga, action, command, out)


def _is_under_way(action: Action, progress: Progress) -> bool:
    if not action.trigger:
        return progress.state == "pending"  # the start, which no event triggers
    return progress.state in ("pending", "executing") and progress.activity != "idle"


def _succeeded(saga: Instance, action: Action, command: Ended, out: list[Decision]) -> None:
    steps.move(saga, action.step, Progress("completed", result=command.type), out)
    out.append(Publish(action.step, command.outcome, command.type))
    steps.compensate_if_called(saga, action, out)


def _failed(saga: Instance, action: Action, command: Ended, out: list[Decision]) -> None:
    if command.how == "returned" and saga.outcomes.get(action.step) != TIMED_OUT:
        steps.move(saga, action.step, Progress("failed"), out)
        out.append(Publish(action.step, command.outcome, command.type))
    else:
        steps.settle(saga, action, "failed", out, command.reason)


def _undone(saga: Instance, action: Action, command: Ended, out: list[Decision]) -> None:
    progress = saga.step(action.step)
    if progress.owes_failure and saga.outcomes.get(action.step) != TIMED_OUT:
        _fail_undone(saga, action, out, progress.reason or command.reason)
        return
    steps.move(saga, action.step, Progress("compensated", result=progress.result), out)
    if command.how == "returned":
        out.append(Publish(action.step, COMPENSATED, command.type))
    else:
        out.append(Answer(action.step, COMPENSATED, command.type, command.reason))


def _fail_undone(saga: Instance, action: Action, out: list[Decision], reason: str) -> None:
    """Publish the failure of a step whose partial effects are undone."""
    progress = saga.step(action.step)
    if not progress.failure:
        steps.settle(saga, action, "failed", out, reason)
        return
    steps.move(saga, action.step, Progress("failed", reason=reason), out, reason)
    if not saga.is_at_rest:
        out.append(Publish(action.step, FAILED, progress.failure))


def deferred(role: Role, saga: Instance, command: Deferred, out: list[Decision]) -> None:
    """Count an attempt that failed; a step of a saga that was aborted meanwhile is not tried again."""
    if command.name not in role.action:
        return  # an observer, whose event remains the oldest one
    action = role.action[command.name]
    progress = saga.step(command.name)
    if progress.activity in ("idle", "dead"):
        return
    waiting = progress._replace(activity="waiting", attempt=progress.attempt + command.is_attempt)
    if progress.state == "compensating":
        saga.steps[command.name] = waiting
        return
    steps.move(saga, command.name, waiting._replace(state="executing"), out, command.reason)
    if action.can_fail and (saga.aborted or saga.end):
        steps.give_up(saga, action, out)


def buried(role: Role, saga: Instance, command: Buried, out: list[Decision]) -> None:
    """Stop a step, or skip an observer's event, until it is requeued."""
    if command.name in role.action:
        saga.steps[command.name] = saga.step(command.name)._replace(activity="dead")
    else:
        _next_event(saga, command.name, out)


def requeued(role: Role, saga: Instance, command: Requeued, out: list[Decision]) -> None:
    """Queue a dead letter again; `begin` decides whether it may still run.

    What a release declares anew is taken up in the same way: as if it had been declared all along.
    """
    if command.event_id in saga.held:
        events.take_up(role, saga, saga.held[command.event_id], out)
    elif command.event_id in saga.unowned:
        steps.adopt(role, saga, command.event_id, out)
    elif command.name in role.action:
        _requeue_step(role, saga, role.action[command.name], out)
    elif command.name in role.deadline:
        if saga.deadlines.get(command.name) == "armed":
            out.append(Queue("deadline", command.name))
        else:
            events.arm(saga, role.deadline[command.name], out)
    else:
        waiting = saga.observers.get(command.name, ())
        saga.observers[command.name] = (*waiting, command.event_id)
        if not waiting:
            out.append(Queue("observer", command.name))


def _requeue_step(role: Role, saga: Instance, action: Action, out: list[Decision]) -> None:
    progress = saga.step(action.step)
    if progress.activity == "idle":
        steps.catch_up(role, saga, action, out)
    if progress.activity != "dead":
        return
    if progress.state in _ENDED:
        _answer_late(saga, action, out, progress.reason)
        return
    reason = steps.unfit(role, saga)
    if reason:
        out.append(Bury(progress.task, action.step, reason))
        return
    if progress.state == "completed":  # a release had given up its compensation
        saga.steps[action.step] = progress._replace(activity="idle")
        steps.compensate_if_called(saga, action, out)
        return
    saga.steps[action.step] = progress._replace(activity="queued")
    out.append(Queue(progress.task, action.step))


def discarded(role: Role, saga: Instance, command: Discarded, out: list[Decision]) -> None:
    """Settle a discarded dead letter: a compensation counts as done, an action as failed."""
    if saga.held.pop(command.event_id, None) is not None:
        return
    if command.name in role.action:
        _discard_step(saga, role.action[command.name], command.reason, out)
    elif saga.deadlines.get(command.name) == "armed":
        saga.deadlines[command.name] = "over"


def _discard_step(saga: Instance, action: Action, reason: str, out: list[Decision]) -> None:
    progress = saga.step(action.step)
    if progress.activity != "dead":
        return
    if progress.state in _ENDED:
        _answer_late(saga, action, out, reason)
    elif progress.state == "completed" and not steps.is_undone(saga, action):
        saga.steps[action.step] = progress._replace(activity="idle")
    elif progress.state in ("completed", "compensating") and not progress.owes_failure:
        steps.move(saga, action.step, Progress("compensated", result=progress.result), out, reason)
        _confirm(saga, action, out, reason)
    elif action.can_fail:  # a retriable step has no failure to answer with: it can only be requeued
        steps.settle(saga, action, "failed", out, reason)


def _answer_late(saga: Instance, action: Action, out: list[Decision], reason: str) -> None:
    """Publish the answer of an ended step, which could not be built before."""
    progress = saga.step(action.step)
    saga.steps[action.step] = progress._replace(activity="idle")
    if progress.state == "compensated":
        _confirm(saga, action, out, reason)
    else:
        steps.answer(saga, action, out, reason or "the saga is aborted")


def _confirm(saga: Instance, action: Action, out: list[Decision], reason: str) -> None:
    compensation = compensation_for(action.compensations, saga.step(action.step).result)
    out.append(Answer(action.step, COMPENSATED, compensation.answer if compensation else "", reason))


def observed(role: Role, saga: Instance, command: Observed, out: list[Decision]) -> None:
    """Queue the next event of an observer that has handled the oldest one."""
    _next_event(saga, command.name, out)


def _next_event(saga: Instance, name: str, out: list[Decision]) -> None:
    waiting = saga.observers.get(name, ())[1:]
    if waiting:
        saga.observers[name] = waiting
        out.append(Queue("observer", name))
    else:
        saga.observers.pop(name, None)


def due(role: Role, saga: Instance, command: Due, out: list[Decision]) -> None:
    """Expire a deadline whose step still has no outcome."""
    if saga.deadlines.get(command.deadline) == "armed":
        saga.deadlines[command.deadline] = "fired"
        out.append(Expire(command.deadline))


def pruned(role: Role, saga: Instance, command: Pruned, out: list[Decision]) -> None:
    """Keep only the end of the saga, so that no later event starts anything."""
    saga.end, saga.pruned = command.end, True
