"""Putting back into a store, row by row, what a saga's log says should be there."""

from __future__ import annotations

from datetime import timedelta

from choreo.participant import Participant
from choreo.ports import DeadLetter, Entry, Store
from choreo.recovery.sagas import Remembered
from choreo.replay import Work, envelope_of
from choreo.worker.agenda import Agenda, in_time_until
from choreo.worker.case import Case, Cause, dead_letter
from choreo.worker.handlers import Handlers
from choreo.worker.outgoing import outbox_rows


class PutBack:
    """Puts back one saga's rows of outbox, schedule and dead letters, inside a turn of the store."""

    def __init__(self, participant: Participant, store: Store, saga: Remembered, now: int) -> None:
        self._participant = participant
        self._store = store
        self._saga = saga
        self._now = now
        self._handlers = Handlers(participant)
        self._agenda = Agenda(store, self._handlers)
        self._topic = next(each for each in participant.sagas if each.name == saga.role.contract.saga).topic

    def publish(self, entry: Entry) -> None:
        """Put an event that was published here into the outbox again, as it was."""
        assert entry.payload is not None
        # The row of a local result says how its step ended; the kind of its event is the step's own.
        kind = self._saga.role.action[entry.step].kind if entry.input else entry.kind
        topics = (self._topic, *self._participant.exports(entry.event_type))
        self._store.enqueue(outbox_rows(envelope_of(entry._replace(kind=kind)), topics, entry.payload))

    def put(self, work: Work) -> None:
        """Put work on the schedule: due now, or a deadline at its time."""
        tried = self._saga.replay.saga.step(work.name).attempt
        case = self._case(work)
        self._agenda.put(case, work.task, work.name, self._due(work, case), tried)

    def bury(self, work: Work, reason: str, detail: str) -> DeadLetter:
        """Make the dead letter of work that can't go on; give it as the store has it."""
        letter = dead_letter(self._case(work), work.task, work.name, reason, detail, self._now, 0)
        return letter._replace(id=self._store.add_dead_letter(letter))

    def is_possible(self, work: Work) -> bool:
        """Say whether the log still holds the event that called for it."""
        return work.event_id in self._saga.replay.events

    def _case(self, work: Work) -> Case:
        cause = Cause.remembered(self._saga.replay.events[work.event_id])
        return Case(self._saga.role, self._topic, self._saga.saga_id, cause)

    def _due(self, work: Work, case: Case) -> int:
        if work.task != "deadline" or not self._handlers.knows(work.name):
            return self._now
        return in_time_until(self._handlers.named(work.name).within or timedelta(), case.cause)
