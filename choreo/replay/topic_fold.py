"""``Rebuilding``: a topic folded once more for a participant whose decisions of that time are lost.

Its own outcomes in the topic are taken as decided. Each names the event that it was an answer to, and so
tells when: right after that event the protocol is told what the handler must have said, and no handler
runs. What the protocol decides by itself, such as a refusal, it decides again, to the same event id.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from choreo import cloudevents
from choreo.envelope import Envelope, event_id
from choreo.errors import HeadersError, ReplayError
from choreo.outcome import START, SUCCEEDED, TIMED_OUT
from choreo.participant import Participant
from choreo.ports import Store
from choreo.protocol import (
    Answer,
    Decision,
    Disarm,
    Drop,
    Due,
    Ended,
    Expire,
    Ignored,
    Input,
    Instance,
    Moved,
    Observed,
    Publish,
    Queue,
    Role,
    Unowned,
    fold,
)
from choreo.records import Entry, Record
from choreo.replay.own_events import REBUILT, Outcomes, Published, called_by, told_before
from choreo.worker.dead_letters import unreadable_record
from choreo.worker.instances import Instances, history_of
from choreo.worker.item import Item, TriggerEvent
from choreo.worker.rows import Rows, emitted_row

_SAGAS_IN_MEMORY = 20_000


class Rebuilding:
    """Folds records into a store, inside its turns; ``counts`` says what came of them.

    ``forgotten`` counts own outcomes of sagas whose beginning the topic has lost: they are passed over.
    """

    def __init__(self, participant: Participant, store: Store, outcomes: Outcomes) -> None:
        self.counts: Counter[str] = Counter()
        self._roles: Mapping[str, Role] = participant.roles()
        self._types = {saga.topic: saga.name for saga in participant.sagas}
        self._name = participant.name
        self._store = store
        self._outcomes = outcomes
        self._sagas = Instances(store, _SAGAS_IN_MEMORY)

    def note(self, record: Record) -> None:
        """Note an outcome of the participant's own; the first pass over the topic."""
        envelope = self._read(record)
        if envelope is not None and envelope.source == self._name:
            self._outcomes.add(envelope, record.value or b"")

    def fold(self, record: Record) -> None:
        """Fold one record, and what the participant must have answered; the second pass."""
        envelope = self._read(record)
        if envelope is None:
            reason = "unreadable-headers"
            self._store.add_dead_letter(unreadable_record(record, reason, "rebuilt", record.timestamp))
            self.counts["unreadable records"] += 1
            return
        role = self._roles[envelope.saga_type]
        item = Item(role, record.topic, envelope.saga_id, TriggerEvent.of_record(envelope, record))
        own = self._outcomes.get(envelope.id)
        if own is not None:
            self._decide(called_by(item, own), own)
        self._tell(item, envelope, record.timestamp)
        self.counts["events"] += 1
        for answer in self._outcomes.caused_by(envelope.id):
            self._decide(item, answer)

    def _read(self, record: Record) -> Envelope | None:
        try:
            envelope = cloudevents.read(record)
        except HeadersError:
            return None
        return envelope if envelope.saga_type == self._types.get(record.topic) else None

    def _decide(self, item: Item, own: Published) -> None:
        """Tell the protocol what it must have been told before this event was published, unless it was."""
        saga, envelope = self._sagas.get(item.role, item.saga_id), own.envelope
        if envelope.step == START and envelope.outcome == SUCCEEDED and item.role.owns_start:
            if not saga.step(START).result:
                self._start(item, own)
        elif envelope.step in item.role.action:
            told = told_before(saga, envelope)
            if told is not None:
                self._tell(item, told, envelope.time)
        elif envelope.outcome == TIMED_OUT:
            self._expire(item, saga, own)
        elif not any(each.event_id == envelope.id for each in self._history(item)):
            self._append_emitted(item, own)

    def _start(self, item: Item, own: Published) -> None:
        """Write the row with which the participant began the saga."""
        told = Ended(START, SUCCEEDED, own.envelope.type)
        after, _ = fold(item.role, self._sagas.get(item.role, item.saga_id), told)
        self._append_emitted(item, own)
        self._sagas.put(item.role, item.saga_id, after)
        self.counts["own outcomes"] += 1

    def _append_emitted(self, item: Item, own: Published) -> None:
        history = self._history(item)
        state = history[-1].saga_state if history else "started"
        self._store.append((emitted_row(own.envelope, own.body, state)._replace(note=REBUILT),))

    def _history(self, item: Item) -> list[Entry]:
        return history_of(self._store, item.saga_type, item.saga_id)

    def _expire(self, item: Item, saga: Instance, own: Published) -> None:
        for deadline in item.role.deadlines:
            is_it = (deadline.of, deadline.answer) == (own.envelope.step, own.envelope.type)
            if is_it and saga.deadlines.get(deadline.name) == "armed":
                self._tell(item, Due(deadline.name), own.envelope.time)

    def _tell(self, item: Item, told: Input, at: int) -> None:
        before = self._sagas.get(item.role, item.saga_id)
        after, decisions = fold(item.role, before, told)
        if decisions and decisions[0] == Ignored("duplicate"):
            return
        if decisions and type(decisions[0]) is Unowned:
            if before.started:
                raise _unexplained(item)
            self.counts["forgotten"] += 1  # the topic's retention has deleted what called for it
            return
        rows = Rows(item, before, after, told, at)
        for decision in decisions:
            self._carry_out(item, rows, decision)
        self._sagas.put(item.role, item.saga_id, after)
        if type(told) is not Envelope:
            self._take_off(item, told)
        self._store.append(_marked(rows.entries()))
        for decision in decisions:
            if isinstance(decision, Queue) and decision.task == "observer":
                self._tell(item, Observed(decision.name), at)

    def _carry_out(self, item: Item, rows: Rows, decision: Decision) -> None:
        match decision:
            case Moved():
                rows.moves.append(decision)
            case Publish() | Answer() | Expire():
                self._publish(item, rows, *item.role.outcome_of(decision))
            case Ignored():
                rows.is_void = True
            case Drop(task, name):
                self._store.unschedule(item.saga_id, task, name)
            case Disarm(name):
                self._store.unschedule(item.saga_id, "deadline", name)

    def _publish(self, item: Item, rows: Rows, step: str, outcome: str, name: str) -> None:
        """Note an event that the topic holds; an answer that it doesn't is owed, and given later."""
        found = self._outcomes.get(event_id(item.saga_id, step, outcome, name))
        if found is not None:
            rows.published.append(found)
            self.counts["own outcomes"] += 1

    def _take_off(self, item: Item, told: Input) -> None:
        """Take what was done off the schedule, where a backup has it there."""
        name = told[0]
        for task in ("action", "compensation", "deadline", "answer"):
            self._store.unschedule(item.saga_id, task, str(name))


def _marked(entries: object) -> list[Entry]:
    """Mark the rows of what happened locally, as far as the lost file may have said more of it."""
    rows: list[Entry] = list(entries)  # type: ignore[call-overload]
    return [row if row.input == "event" or row.note else row._replace(note=REBUILT) for row in rows]


def _unexplained(item: Item) -> ReplayError:
    trigger = item.trigger
    what = f"{item.topic}[{trigger.partition}]@{trigger.offset}: an outcome of {trigger.envelope.step}"
    return ReplayError(
        f"{what}, saga {item.saga_id}, that nothing in the topic explains",
        hint="was it another release of the service? rebuild with its code",
    )
