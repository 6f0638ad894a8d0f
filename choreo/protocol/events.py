"""Folds an event of the topic: decides whether it counts, and what it calls for at this participant.

An event whose id was folded before, with its step, outcome and type, is a duplicate, which changes nothing
(R2). One that differs in these is another event, whose id somebody reused: it is folded, and a dead letter
names it. So no forged record can pass for a real one that comes later. An outcome is *void*, recorded
and dispatched to nobody, in three cases: its step already has an outcome, or, for a compensated event, is
compensated already (R3); the saga has ended, and the event is no part of a rollback that goes on (R8); or it
would complete the saga after a failure though no pivot has succeeded (R8).

A rollback goes on after ``fails`` where an import has come: a branch that it alone calls hangs on no step,
so the start is compensated without waiting for it. Part of it are failures, compensations, and successes
that are still to be undone. In the same way, an import alone calls nothing once the saga is rolled back.

Any other event becomes its step's outcome, for everyone alike. It may abort or end the saga (R4, R8), and is
then dispatched: it calls compensations (R7), triggers actions, queues observers, and arms and disarms
deadlines. What becomes of an own step is decided in `choreo.protocol.steps`.

An outcome of an own step that this participant didn't decide is *unowned*. The others fold it too, so it
counts. But the topic and this participant's log differ, so it does no step of that saga any more until an
operator says which is right: the saga is in quarantine (R10).
"""

from __future__ import annotations

from choreo.envelope import Envelope, is_keyed_by_id
from choreo.outcome import (
    COMPENSATABLE,
    COMPENSATED,
    EXTERNAL,
    FAILED,
    PIVOT,
    START,
    SUCCEEDED,
    TIMED_OUT,
)
from choreo.protocol import steps
from choreo.protocol.decisions import (
    FOREIGN_OUTCOME,
    REUSED_ID,
    Arm,
    Bury,
    Decision,
    Disarm,
    Held,
    Ignored,
    Queue,
    Unowned,
)
from choreo.protocol.instance import Instance, Progress, UnownedOutcome
from choreo.protocol.role import Action, Contract, Deadline, Role

_HINT = (
    "this store never produced it. Requeue it if this participant did publish it, as where the database was "
    "restored from a backup; else undo by hand what others did because of it, and discard it"
)

_REUSED = (
    "another event came before with the same id and another step, outcome or type: one of them is forged, or "
    "its publisher derives its ids wrongly. Both were folded, in their order; see who may write to the topic"
)


def fold_event(
    role: Role, saga: Instance, event: Envelope, out: list[Decision], was_held: bool | None = None
) -> None:
    """Fold one event, in the order of the topic (R1).

    ``was_held`` says of one that was folded before whether what it calls for was held then.
    """
    said = hash((event.step, event.outcome, event.type))
    known = saga.seen.get(event.id)
    if known is None and not saga.pruned:
        saga.seen[event.id] = said
        _fold_new(role, saga, event, out, was_held)
    elif saga.pruned or known == said or (event.id, said) in saga.seen:
        out.append(Ignored("duplicate"))
    else:
        saga.seen[event.id, said] = said
        _fold_new(role, saga, event, out, was_held)
        out.append(Bury("event", event.step, f"{REUSED_ID}: {_REUSED}"))


def pass_over(saga: Instance, event: Envelope) -> None:
    """Keep the id of an event that its row says is void, without folding it (R9)."""
    saga.seen[event.id] = hash((event.step, event.outcome, event.type))


def _fold_new(
    role: Role, saga: Instance, event: Envelope, out: list[Decision], was_held: bool | None
) -> None:
    if not _counts(role, saga, event):
        out.append(Ignored("void"))
        return
    was_aborted, was_failing = saga.aborted, bool(saga.failing)
    is_ours = event.step not in role.action or _is_ours(saga, role, event)
    if not _record(role, saga, event):
        out.append(Ignored("void"))
        return
    saga.types.add(event.type)
    if event.step == START and event.type == role.contract.starts and _is_another_clients(role, saga, event):
        steps.move(saga, START, Progress("completed", result=event.type), out)
    if not is_ours:
        saga.unowned[event.id] = UnownedOutcome(event.step, event.outcome, event.type)
        out += (Unowned(event.step), Bury("outcome", event.step, f"{FOREIGN_OUTCOME}: {_HINT}"))
    is_unknown = saga.version > role.contract.version
    if was_held or (was_held is None and (is_unknown or saga.held)):
        _hold(saga, event, out)
    # The success of another participant's step that calls no handler of this role has no effect here.
    elif not is_unknown and (event.type in role.handles or saga.aborted or saga.end or role.deadlines):
        _react(role, saga, event, was_aborted, was_failing, out)


def _hold(saga: Instance, event: Envelope, out: list[Decision]) -> None:
    """Keep what an event calls for until the version of the saga is known, and those before it are done."""
    if not saga.held:
        why = f"version {saga.version} of the saga is not known to this release, so it is not acted on"
        out.append(Bury("saga", event.step, f"{steps.UNKNOWN_VERSION}: {why}"))
    saga.held[event.id] = event
    out.append(Held())


def take_up(role: Role, saga: Instance, event: Envelope, out: list[Decision]) -> None:
    """Do what a held event calls for, against the state of the saga of today."""
    del saga.held[event.id]
    if saga.version <= role.contract.version:
        has_failed = event.step == saga.failing and event.outcome in (FAILED, TIMED_OUT)
        _react(role, saga, event, False, not has_failed, out)


def _react(
    role: Role, saga: Instance, event: Envelope, was_aborted: bool, was_failing: bool, out: list[Decision]
) -> None:
    first_failure = bool(saga.failing) and not was_failing
    _disarm(role, saga, event, first_failure, out)
    if not saga.unowned:
        _call_compensations(role, saga, event, first_failure, out)
        if saga.end or (saga.aborted and not was_aborted):  # after the calls: a refused step answers once
            steps.refuse_waiting(role, saga, out)
        for action in role.triggered_by.get(event.type, ()):
            if event.kind != EXTERNAL or not _comes_in_vain(saga, event, action):
                steps.trigger(role, saga, action, out)
    _queue_observers(role, saga, event, out)
    _arm(role, saga, event, out)


def _comes_in_vain(saga: Instance, event: Envelope, action: Action) -> bool:
    """Whether an import comes while the saga is rolled back, to a step that it alone calls (R8)."""
    return saga.rolls_back and action.trigger.satisfied({event.type})


def _is_another_clients(role: Role, saga: Instance, event: Envelope) -> bool:
    """Whether somebody else started a saga whose start is this participant's."""
    return START in role.action and START not in saga.steps and event.source != role.participant


def _is_ours(saga: Instance, role: Role, event: Envelope) -> bool:
    """Whether an outcome of an own step is from this participant's store, or from who else may publish it.

    A timeout may come from another participant's deadline, and a start from a client that takes part by the
    wire alone. Any other outcome was written to the store before it was published: it is missing only in a
    wrong store, or where somebody else wrote the event.
    """
    if event.outcome == TIMED_OUT or (event.step == START and event.source != role.participant):
        return True
    progress = saga.step(event.step)
    if event.outcome == SUCCEEDED:
        return progress.result == event.type
    return progress.state in ("failed", "refused", "compensated")


def _counts(role: Role, saga: Instance, event: Envelope) -> bool:
    if saga.end and not (saga.end == "failed" and saga.imported and _unwinds(role.contract, event)):
        return False
    if event.outcome == COMPENSATED:
        return event.step not in saga.compensated
    return event.step not in saga.outcomes


def _unwinds(contract: Contract, event: Envelope) -> bool:
    """Whether an event that comes after ``fails`` is a part of a rollback that is still under way (R8).

    A branch that an import alone calls hangs on no step, so the start doesn't wait until it is undone.
    """
    if event.outcome == SUCCEEDED:
        return event.kind == COMPENSATABLE and event.type != contract.completes
    return event.outcome != TIMED_OUT


def _record(role: Role, saga: Instance, event: Envelope) -> bool:
    """Record the outcome; return False for a completion that is void, as no pivot has succeeded (R8)."""
    if event.outcome == COMPENSATED:
        saga.compensated.add(event.step)
    else:
        saga.outcomes[event.step] = event.outcome
    if event.outcome in (FAILED, TIMED_OUT) and not saga.failing:
        saga.failing, saga.failing_outcome = event.step, event.outcome
    if event.kind != COMPENSATABLE and event.outcome == SUCCEEDED:
        saga.lasting.add(event.step)
        saga.pivoted = saga.pivoted or event.kind == PIVOT
        saga.imported = saga.imported or event.kind == EXTERNAL
    if event.step == START and event.outcome == SUCCEEDED:
        saga.started, saga.version = True, event.saga_version
        saga.keyed_by_id = saga.keyed_by_id or is_keyed_by_id(event)
    return _ends_validly(role.contract, saga, event.type)


def _ends_validly(contract: Contract, saga: Instance, event_type: str) -> bool:
    """Apply an end or a cancellation; return False for a completion after a failure without a pivot (R8)."""
    if event_type == contract.aborts:
        saga.cancelled = True
    if event_type == contract.fails:
        saga.end = "failed"
    if event_type == contract.completes:
        if saga.failing and not saga.pivoted:
            return False
        saga.end = "completed"
    return True


def _call_compensations(
    role: Role, saga: Instance, event: Envelope, first_failure: bool, out: list[Decision]
) -> None:
    if event.outcome == TIMED_OUT and event.step in role.action:
        steps.timed_out(saga, role.action[event.step], out)
    for action in role.compensated_by.get(event.type, ()):
        steps.compensate_if_called(saga, action, out)
    if first_failure:
        for action in role.leaves:
            steps.compensate_if_called(saga, action, out)


def _queue_observers(role: Role, saga: Instance, event: Envelope, out: list[Decision]) -> None:
    for observer in role.observed_by.get(event.type, ()):
        waiting = saga.observers.get(observer.name, ())
        saga.observers[observer.name] = (*waiting, event.id)
        if not waiting:
            out.append(Queue("observer", observer.name))


def _arm(role: Role, saga: Instance, event: Envelope, out: list[Decision]) -> None:
    for deadline in role.armed_by.get(event.type, ()):
        arm(saga, deadline, out)


def arm(saga: Instance, deadline: Deadline, out: list[Decision]) -> None:
    """Arm a deadline once, if its step may still be late."""
    if deadline.name in saga.deadlines or saga.end or saga.failing:
        return
    if deadline.of not in saga.outcomes and deadline.after.satisfied(saga.types):
        saga.deadlines[deadline.name] = "armed"
        out.append(Arm(deadline.name))


def _disarm(role: Role, saga: Instance, event: Envelope, first_failure: bool, out: list[Decision]) -> None:
    """Disarm deadlines without effect: after their step's outcome, the first failure, or the end."""
    over = role.deadlines if saga.end or first_failure else role.watching.get(event.step, ())
    for deadline in over:
        if saga.deadlines.get(deadline.name) == "armed":
            saga.deadlines[deadline.name] = "over"
            out.append(Disarm(deadline.name))
