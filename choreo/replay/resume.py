"""Resumes sagas: puts back into the store the work and events that a saga's log asks for and it has lost."""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping
from datetime import timedelta
from typing import NamedTuple

from choreo.errors import ReplayError
from choreo.participant import Participant
from choreo.ports import Store
from choreo.protocol.recorded_inputs import envelope_of
from choreo.records import DeadLetter, Entry
from choreo.replay.newly_declared import Missed, missed, missing_bodies, take_up
from choreo.replay.pending_work import Work, lost_work
from choreo.replay.stored_saga import StoredSaga, stored_sagas
from choreo.worker.dead_letters import dead_letter, settle_in_turn, times_requeued
from choreo.worker.deadlines import extended_to
from choreo.worker.handlers import Handlers
from choreo.worker.item import Item, TriggerEvent
from choreo.worker.outbox import outbox_rows
from choreo.worker.schedule import Schedule, expires_at

LIMIT = 5
"""The most times that the work of one dead letter may be requeued."""

_COMMENT = "resumed"


class Restorer:
    """Puts back one saga's rows of the outbox, the schedule and the dead letters, inside a turn."""

    def __init__(self, participant: Participant, store: Store, saga: StoredSaga, now: int) -> None:
        self._participant = participant
        self._store = store
        self._saga = saga
        self._now = now
        self._handlers = Handlers(participant)
        self._schedule = Schedule(store, self._handlers)
        self._topic = next(each for each in participant.sagas if each.name == saga.role.contract.saga).topic

    def publish(self, entry: Entry) -> None:
        """Put an event that the participant has published into the outbox again, unchanged."""
        assert entry.payload is not None
        # The row of a local result says how its step ended; the kind of its event is the step's own.
        kind = self._saga.role.action[entry.step].kind if entry.input else entry.kind
        topics = (self._topic, *self._participant.exports(entry.event_type))
        self._store.enqueue(outbox_rows(envelope_of(entry._replace(kind=kind)), topics, entry.payload))

    def schedule(self, work: Work) -> None:
        """Put work on the schedule: due now, or a deadline at its time."""
        tried = self._saga.replay.saga.step(work.name).attempt
        item = self._item(work)
        self._schedule.put(item, work.task, work.name, self._due(work, item), tried)

    def add_dead_letter(self, work: Work, reason: str, detail: str) -> DeadLetter:
        """Make the dead letter of work that can't continue, and return it with its id."""
        letter = dead_letter(self._item(work), work.task, work.name, reason, detail, self._now, 0)
        return letter._replace(id=self._store.add_dead_letter(letter))

    def take_up(self, found: Missed, bodies: Mapping[str, bytes]) -> None:
        """Have done what was newly declared after the events that call it."""
        take_up(self._store, self._topic, found, bodies, _COMMENT, self._now)

    def is_possible(self, work: Work) -> bool:
        """Whether the log holds the event that called for the work."""
        return work.event_id in self._saga.replay.events

    def _item(self, work: Work) -> Item:
        trigger = TriggerEvent.of_entry(self._saga.replay.events[work.event_id])
        return Item(self._saga.role, self._topic, self._saga.saga_id, trigger)

    def _due(self, work: Work, item: Item) -> int:
        if work.task != "deadline" or not self._handlers.knows(item.saga_type, work.task, work.name):
            return self._now
        names = {work.name, *self._saga.role.family.get(work.name, ())}
        extended = extended_to(self._saga.entries, names)
        if extended is not None:
            return extended
        return expires_at(self._handlers.named(work.name).within or timedelta(), item.trigger)


class Resumed(NamedTuple):
    """What was put back, or is done for the first time; ``left`` has a sentence for what could not be."""

    saga_type: str
    state: str
    published: list[Entry]
    due: list[Work | Missed]
    requeued: list[DeadLetter]
    left: list[str]

    @property
    def is_idle(self) -> bool:
        """Whether there was nothing to do."""
        return not (self.published or self.due or self.requeued or self.left)


def resume(
    participant: Participant,
    store: Store,
    saga_id: str,
    now: int,
    *,
    topic: Container[str] = (),
    bodies: Mapping[str, bytes] | None = None,
    limit: int = LIMIT,
    dry_run: bool = False,
) -> list[Resumed]:
    """Put back into the store what a saga's log asks for and the store does not hold, in one transaction.

    Events that were published, and neither wait in the outbox nor were read back, are published again,
    unless ``topic`` holds their ids; work that had not finished is due again; dead letters are requeued,
    each ``limit`` times at most. A step, or a compensation, that was declared after the events that call it
    is due, too; where the log did not keep their bodies, they are taken from ``bodies``, by the ids of the
    topic's events. The worker does it in its next turn, or when it starts. Ids are the same
    as before, so doing this again, or where it was not needed, changes nothing (rule R2). ``now`` is in
    milliseconds since the epoch.

    Raises `ReplayError` for a saga that the store doesn't know, or whose log does not hold together.
    """
    with store.turn():
        return [
            _Resuming(participant, store, saga, now, limit, dry_run).do(topic, bodies or {})
            for saga in stored_sagas(participant, store, saga_id)
        ]


class _Resuming:
    """Resumes one saga, inside a turn of the store."""

    def __init__(
        self, participant: Participant, store: Store, saga: StoredSaga, now: int, limit: int, dry_run: bool
    ) -> None:
        self._store = store
        self._saga = saga
        self._now = now
        self._limit = limit
        self._dry_run = dry_run
        self._restorer = Restorer(participant, store, saga, now)
        self._left: list[str] = []

    def do(self, topic: Container[str], bodies: Mapping[str, bytes]) -> Resumed:
        """Put back everything that is lost, and return it."""
        _refuse_broken(self._saga)
        replay = self._saga.replay
        published = [entry for entry in self._saga.unpublished(topic) if self._publish(entry)]
        due: list[Work | Missed] = [
            work for work in lost_work(replay, self._saga.stored) if self._schedule(work)
        ]
        due += self._take_up(bodies)
        letters = [letter for letter in self._saga.letters if letter.state == "open"]
        requeued = [letter for letter in letters if self._requeue(letter)]
        name = self._saga.role.contract.saga
        return Resumed(name, replay.saga.state, published, due, requeued, self._left)

    def _publish(self, entry: Entry) -> bool:
        if entry.payload is None:
            what = f"{entry.event_type} of {entry.step}"
            self._left.append(f"{what} can't be published again: its body is gone")
            return False
        if not self._dry_run:
            self._restorer.publish(entry)
        return True

    def _schedule(self, work: Work) -> bool:
        if not self._restorer.is_possible(work):
            self._left.append(f"{work} can't be done again: the log does not hold the event that called it")
            return False
        if not self._dry_run and work.is_dead:
            letter = self._restorer.add_dead_letter(work, "lost", "its dead letter was gone")
            settle_in_turn(self._store, letter, "requeued", _COMMENT, self._now)
        elif not self._dry_run:
            self._restorer.schedule(work)
        return True

    def _take_up(self, bodies: Mapping[str, bytes]) -> Iterator[Missed]:
        """Have done what was newly declared since, except for what would refuse what was aborted before."""
        role = self._saga.role
        for found in missed(self._store, role, self._saga.entries):
            gone = missing_bodies(found, bodies)
            if found.what == "refused":
                apply = f"choreo releases apply {found.name} has it refused"
                self._left.append(f"{found} is declared since the saga was aborted: {apply}")
            elif found.what in ("run", "undo") and gone:
                self._left.append(f"{found} is newly declared and can't be done: {gone} (see --topic)")
            elif found.what in ("run", "undo"):
                if not self._dry_run:
                    self._restorer.take_up(found, bodies)
                yield found

    def _requeue(self, letter: DeadLetter) -> bool:
        times = times_requeued(self._saga.letters, letter)
        if times >= self._limit:
            self._left.append(f"dead letter {letter.id} was requeued {times} times: edit or discard it")
            return False
        return self._dry_run or settle_in_turn(self._store, letter, "requeued", _COMMENT, self._now)


def _refuse_broken(saga: StoredSaga) -> None:
    broken = [each for each in saga.replay.differences if each.what != "step"]
    if broken:
        raise ReplayError(
            f"the log of saga {saga.saga_id} does not hold together: {broken[0]}",
            hint="see `choreo replay fold`; nothing was changed",
        )
