"""``Work``: the work that a saga's log leaves to be done, and the part that the store has lost; pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from choreo.records import Entry
from choreo.replay.fold import Difference, Replay


class Work(NamedTuple):
    """One thing to do, by its task and name in the schedule, and the event that called for it.

    ``is_dead`` means that it is a dead letter; ``is_out`` that its call may have been begun.
    """

    task: str
    name: str
    event_id: str
    is_dead: bool = False
    is_out: bool = False

    def __str__(self) -> str:
        return f"{self.task} {self.name}"


class StoredRows(NamedTuple):
    """The rows of one saga in the other tables of a store, besides the saga log.

    ``due`` has the task and name of each row of the schedule, and of each dead letter that is open or about
    to be settled; ``outbox`` the ids of the events in the outbox. ``acts_from`` maps each topic and
    partition to the offset from which the participant acts.
    """

    due: frozenset[tuple[str, str]] = frozenset()
    outbox: frozenset[str] = frozenset()
    acts_from: Mapping[tuple[str, int], int] = {}


def work_of(replay: Replay) -> Iterator[Work]:
    """Yield all work that a saga asks of its participant, as far as that still declares it."""
    role = replay.role
    yield from (work for work in _of_steps(replay) if work.name in role.action)
    observers = {n for each in role.observers for n in role.family.get(each.name, (each.name,))}
    for name, waiting in replay.saga.observers.items():
        if name in observers:
            yield Work("observer", name, waiting[0])
    for name, state in replay.saga.deadlines.items():
        if state == "armed" and name in role.deadline:
            yield Work("deadline", name, replay.causes.get(("deadline", name), ""))


def _of_steps(replay: Replay) -> Iterator[Work]:
    saga = replay.saga
    for step, progress in saga.steps.items():
        task = progress.task
        is_dead = progress.activity == "dead"
        withheld = saga.unowned and progress.activity in ("queued", "waiting")
        if (is_dead or progress.activity != "idle") and not withheld:
            event_id = replay.causes.get((task, step), "")
            yield Work(task, step, event_id, is_dead, progress.activity == "running")
    for step, event_id in replay.due_answers.items():
        if not saga.is_at_rest and saga.step(step).activity != "dead":
            yield Work("answer", step, event_id)


def lost_work(replay: Replay, stored: StoredRows) -> list[Work]:
    """Return the work that is neither on the schedule nor among the dead letters."""
    return [
        work
        for work in work_of(replay)
        if (work.task, work.name) not in stored.due and not _is_before_start(replay, stored, work)
    ]


def unconfirmed(replay: Replay, stored: StoredRows) -> list[Entry]:
    """Return the events that were published, are no longer in the outbox, and were not read back.

    They are on the topic and not read yet, or lost: only the topic shows which.
    """
    return [entry for identity, entry in replay.unconfirmed.items() if identity not in stored.outbox]


def table_differences(replay: Replay, stored: StoredRows) -> list[Difference]:
    """Return the lost work as differences of the schedule and the dead letters."""
    lost = lost_work(replay, stored)
    return [Difference(0, work.name, _table(work), "nothing", f"{work.task} due") for work in lost]


def _table(work: Work) -> str:
    return "dead_letters" if work.is_dead else "schedule"


def _is_before_start(replay: Replay, stored: StoredRows, work: Work) -> bool:
    """Whether work was called for before the participant began to act: such work is never done."""
    cause = replay.events.get(work.event_id)
    return cause is not None and cause.offset < stored.acts_from.get((cause.topic, cause.partition), 0)
