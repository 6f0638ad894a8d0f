"""The status of a saga, from one participant's saga log and schedule."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime

from choreo.outcome import CANCEL
from choreo.participant.connection import Cancellation, Status, Wait
from choreo.protocol import Action, Instance, Role
from choreo.protocol.recorded_inputs import Pending, rebuild
from choreo.protocol.renaming import role_for
from choreo.records import Entry, Scheduled, moment

_WHY = {"queued": "queued", "running": "executing", "waiting": "retry", "dead": "dead-letter"}


def status_of(
    role: Role, entries: Sequence[Entry], scheduled: Iterable[Scheduled], pending: Pending | None = None
) -> Status:
    """Return the status of a saga from its entries, oldest first and at least one."""
    saga = rebuild(role, entries, pending)
    role = role_for(role, saga)
    due = {(row.task, row.name): row.due for row in scheduled}
    steps = {entry.step: saga.state_of(entry.step) for entry in entries if _is_of_step(role, entry)}
    return Status(
        saga_id=entries[0].saga_id,
        saga_type=role.contract.saga,
        state=saga.state,
        step=next((entry.step for entry in reversed(entries) if entry.step in steps), ""),
        steps=steps,
        failed_step=saga.failing,
        waits_for=tuple(_waits(role, saga, due)),
        cancellation=_cancellation(saga, entries),
    )


def _is_of_step(role: Role, entry: Entry) -> bool:
    observers = (name for each in role.observers for name in role.family.get(each.name, (each.name,)))
    local_only = entry.step in role.deadline or entry.step in observers
    return entry.step not in ("", CANCEL) and not local_only


def _cancellation(saga: Instance, entries: Sequence[Entry]) -> Cancellation:
    asked = [entry for entry in entries if entry.step == CANCEL]
    if not asked:
        return "none"
    if saga.end == "completed" or saga.pivoted or any(entry.note == "void" for entry in asked):
        return "too-late"
    return "accepted" if saga.cancelled else "requested"


def _waits(role: Role, saga: Instance, due: dict[tuple[str, str], int]) -> Iterator[Wait]:
    """Yield the participant's own work and deadlines, and the awaited events where it has no work."""
    own = [*_own_steps(saga, due), *_deadlines(role, saga, due)]
    yield from own
    if saga.cancelled and not saga.started:
        yield Wait(role.contract.starts, "event")
    elif not any(wait.why != "deadline" for wait in own) and not saga.is_at_rest:
        for name in _awaited(role, saga):
            yield Wait(name, "event")


def _own_steps(saga: Instance, due: dict[tuple[str, str], int]) -> Iterator[Wait]:
    for step, progress in saga.steps.items():
        if progress.activity == "idle":
            continue
        until = due.get((progress.task, step)) if progress.activity == "waiting" else None
        yield Wait(step, _WHY[progress.activity], _time(until))  # type: ignore[arg-type]


def _deadlines(role: Role, saga: Instance, due: dict[tuple[str, str], int]) -> Iterator[Wait]:
    for name, state in saga.deadlines.items():
        if state == "armed" and name in role.deadline:
            yield Wait(role.deadline[name].of, "deadline", _time(due.get(("deadline", name))))


def _awaited(role: Role, saga: Instance) -> list[str]:
    """Return the event types that call this participant's handlers next, or else the saga's end."""
    names = [name for action in role.actions for name in _calls(saga, action)]
    contract = role.contract
    end = contract.fails if saga.rolls_back else contract.completes
    return sorted(dict.fromkeys(names)) or ([] if saga.end else [end])


def _calls(saga: Instance, action: Action) -> frozenset[str]:
    progress = saga.step(action.step)
    if saga.rolls_back and progress.state == "completed":
        return frozenset().union(*(undo.trigger.awaited(saga.types) for undo in action.compensations))
    if not saga.rolls_back and progress.state == "pending":
        return action.trigger.awaited(saga.types)
    return frozenset()


def _time(milliseconds: int | None) -> datetime | None:
    return None if milliseconds is None else moment(milliseconds)
