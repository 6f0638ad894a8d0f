"""What a saga's log leaves to be done, and what of it the other tables have lost."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from choreo.records import Entry
from choreo.replay.fold import Difference, Replay


class Work(NamedTuple):
    """One thing to do: the task and the name that the schedule calls it by, and the event that called for it.

    ``is_dead``: it waits among the dead letters instead. ``is_out``: it may be under way outside of the
    transaction.
    """

    task: str
    name: str
    event_id: str
    is_dead: bool = False
    is_out: bool = False

    def __str__(self) -> str:
        return f"{self.task} {self.name}"


class Kept(NamedTuple):
    """What the other tables of a store hold of one saga.

    ``due`` are task and name of what is on the schedule, and of dead letters that are open or about to be
    settled; ``outbox`` the ids of the events in the outbox; ``acts_from`` is the offset from which on the
    participant acts, of each topic and partition.
    """

    due: frozenset[tuple[str, str]] = frozenset()
    outbox: frozenset[str] = frozenset()
    acts_from: Mapping[tuple[str, int], int] = {}


def work_of(replay: Replay) -> Iterator[Work]:
    """Give all that the saga asks this participant to do, as far as its log goes."""
    saga = replay.saga
    for step, progress in saga.steps.items():
        task = "compensation" if progress.state == "compensating" else "action"
        is_dead = progress.activity == "dead"
        if is_dead or progress.activity != "idle":
            event_id = replay.causes.get((task, step), "")
            yield Work(task, step, event_id, is_dead, progress.activity == "running")
    for name, waiting in saga.observers.items():
        yield Work("observer", name, waiting[0])
    for name, state in saga.deadlines.items():
        if state == "armed":
            yield Work("deadline", name, replay.causes.get(("deadline", name), ""))
    for step, event_id in replay.owed.items():
        if not saga.end and saga.step(step).activity != "dead":
            yield Work("answer", step, event_id)


def lost_work(replay: Replay, kept: Kept) -> list[Work]:
    """Give what is to be done, and stands neither on the schedule nor among the dead letters."""
    return [
        work
        for work in work_of(replay)
        if (work.task, work.name) not in kept.due and not _is_before_us(replay, kept, work)
    ]


def unconfirmed(replay: Replay, kept: Kept) -> list[Entry]:
    """Give what was published here, is not in the outbox any more, and did not come back.

    It is under way, or it was lost: only the topic can tell.
    """
    return [entry for identity, entry in replay.unheard.items() if identity not in kept.outbox]


def missing(replay: Replay, kept: Kept) -> list[Difference]:
    """Give the differences that the schedule and the dead letters make."""
    lost = lost_work(replay, kept)
    return [Difference(0, work.name, _table(work), "nothing", f"{work.task} due") for work in lost]


def _table(work: Work) -> str:
    return "dead_letters" if work.is_dead else "schedule"


def _is_before_us(replay: Replay, kept: Kept, work: Work) -> bool:
    """Say whether it was called for before the participant began to act: it is then never done."""
    cause = replay.events.get(work.event_id)
    return cause is not None and cause.offset < kept.acts_from.get((cause.topic, cause.partition), 0)
