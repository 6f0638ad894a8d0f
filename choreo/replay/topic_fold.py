"""``TopicFold``: folds topics again for a participant that has lost its saga log.

The participant's own events on the topic show what its handlers returned. Each names the event that it
answered: after that event is folded, the result of the handler is folded as an input, and no handler runs.
What the protocol decides by itself, such as a refusal, it decides again, with the same event id.
"""

from __future__ import annotations

from collections import Counter

from choreo import cloudevents
from choreo.envelope import Envelope, event_id
from choreo.errors import HeadersError
from choreo.outcome import COMPENSATED, FAILED, START, SUCCEEDED, TIMED_OUT
from choreo.participant import Participant, Roles
from choreo.ports import Store
from choreo.protocol import (
    Answer,
    Begin,
    Bury,
    Decision,
    Disarm,
    Drop,
    Due,
    Ended,
    Expire,
    Held,
    Ignored,
    Input,
    Instance,
    Moved,
    Observed,
    Publish,
    Queue,
    Requeued,
    Role,
    Unowned,
    fold,
    fold_into,
)
from choreo.protocol.decisions import FOREIGN_OUTCOME, REUSED_ID
from choreo.protocol.instance import PENDING
from choreo.protocol.recorded_inputs import rebuild
from choreo.protocol.renaming import names_in_use, role_for
from choreo.protocol.steps import UNKNOWN_VERSION
from choreo.records import Entry, Record, Release, version_of
from choreo.release import declared_in
from choreo.release.in_force import InForce, roles_in
from choreo.replay.own_events import OwnEvents, PublishedEvent
from choreo.worker.dead_letters import dead_letter, unreadable_record
from choreo.worker.instances import Instances
from choreo.worker.item import Item, TriggerEvent
from choreo.worker.rows import Rows, emitted_row

REBUILT = "rebuilt"
"""The note of a row that was made from the topic, as its original is lost."""

_SAGAS_IN_MEMORY = 20_000


class TopicFold:
    """Folds records into a store, inside its turns; ``counts`` are the numbers of what was folded.

    Own events of sagas whose beginning the topic no longer holds are skipped, and counted as
    ``forgotten``.
    """

    def __init__(self, participant: Participant, store: Store, own_events: OwnEvents) -> None:
        self.counts: Counter[str] = Counter()
        self._types = {saga.topic: saga.name for saga in participant.sagas}
        self._name = participant.name
        self._store = store
        self._own_events = own_events
        self._sagas = _FoldedSagas(store, participant.roles_by_version(), _SAGAS_IN_MEMORY)
        self._today = participant.roles()

    def begin(self, place: int, release: Release) -> None:
        """Fold what follows by a release, which is added to the store where it is not there yet."""
        with self._store.turn():
            if place >= len(self._store.releases()):
                self._store.add_release(release)
        roles = roles_in(declared_in(release))
        for name, role in self._today.items():
            roles.newest.setdefault(name, Role(role.participant, role.contract))  # it had no part in it yet
        self._sagas.begin(roles)

    def collect(self, record: Record) -> None:
        """Collect an event if it is the participant's own, in the first pass over the topic."""
        envelope = self._read(record)
        if envelope is not None and envelope.source == self._name:
            self._own_events.add(envelope, record.value or b"")

    def fold(self, record: Record) -> None:
        """Fold one record, and the results that answered it, in the second pass over the topic."""
        envelope = self._read(record)
        if envelope is None:
            reason = "unreadable-headers"
            self._store.add_dead_letter(unreadable_record(record, reason, "rebuilt", record.timestamp))
            self.counts["unreadable records"] += 1
            return
        role = self._sagas.role(envelope.saga_type, envelope.saga_id, envelope.saga_version)
        item = Item(role, record.topic, envelope.saga_id, TriggerEvent.of_record(envelope, record))
        self._key(item)
        own = self._own_events.get(*item.saga_key, envelope.id)
        if own is not None:
            self._fold_cause(_triggered_by(item, own), own)
        self._fold(item, envelope, record.timestamp)
        self.counts["events"] += 1
        for answer in self._own_events.caused_by(envelope):
            if not self._is_of_later(item.role, answer.envelope):
                self._fold_cause(item, answer)

    def _is_of_later(self, role: Role, own: Envelope) -> bool:
        """Whether an own event is of a step that a later release declares: it is folded when it comes."""
        is_step = own.kind not in ("external", "cancellation") and own.outcome != TIMED_OUT
        return is_step and own.step != START and own.step not in role.action

    def _key(self, item: Item) -> None:
        """Mark a saga whose own events have ids of its id alone, or name renamed steps by an alias."""
        saga = self._sagas.get(item.role, item.saga_id)
        if item.role.names and not saga.seen:
            saga.names |= names_in_use(item.role, self._own_events.steps(*item.saga_key))
        saga.keyed_by_id = saga.keyed_by_id or self._own_events.are_keyed_by_id(*item.saga_key)

    def _read(self, record: Record) -> Envelope | None:
        try:
            envelope = cloudevents.read(record)
        except HeadersError:
            return None
        return envelope if envelope.saga_type == self._types.get(record.topic) else None

    def _fold_cause(self, item: Item, own: PublishedEvent) -> None:
        """Fold the input that led to this event, unless it was folded already."""
        saga, envelope = self._sagas.get(item.role, item.saga_id), own.envelope
        if envelope.step == START and envelope.outcome == SUCCEEDED and item.role.owns_start:
            if not saga.step(START).result:
                self._start(item, own)
        elif envelope.step in item.role.action:
            self._fold_outcome(item, saga, envelope)
        elif envelope.outcome == TIMED_OUT:
            self._expire(item, saga, own)
        elif not any(each.event_id == envelope.id for each in self._history(item)):
            self._append_emitted(item, own)

    def _fold_outcome(self, item: Item, saga: Instance, own: Envelope) -> None:
        """Fold the input that led to an outcome; a step that nothing had called was taken up by hand."""
        input = _input_before(saga, own)
        if input is None and saga.step(own.step) == PENDING:
            taken_up = Requeued(own.step, own.causation_id)
            if fold(item.role, saga, taken_up)[1]:
                self._fold(item, taken_up, own.time)
                input = _input_before(saga, own)
        if input is not None:
            self._fold(item, input, own.time)

    def _start(self, item: Item, own: PublishedEvent) -> None:
        """Write the row with which the participant started the saga."""
        input = Ended(START, SUCCEEDED, own.envelope.type)
        saga = self._sagas.get(item.role, item.saga_id)
        self._append_emitted(item, own)
        fold_into(item.role, saga, input)
        self.counts["own outcomes"] += 1

    def _append_emitted(self, item: Item, own: PublishedEvent) -> None:
        history = self._history(item)
        state = history[-1].saga_state if history else "started"
        self._store.append((emitted_row(own.envelope, own.body, state)._replace(note=REBUILT),))

    def _history(self, item: Item) -> list[Entry]:
        return list(self._store.history(*item.saga_key))

    def _expire(self, item: Item, saga: Instance, own: PublishedEvent) -> None:
        for deadline in role_for(item.role, saga).deadlines:
            is_it = (deadline.of, deadline.answer) == (own.envelope.step, own.envelope.type)
            if is_it and saga.deadlines.get(deadline.name) == "armed":
                self._fold(item, Due(deadline.name), own.envelope.time)

    def _fold(self, item: Item, input: Input, at: int) -> None:
        saga = self._sagas.get(item.role, item.saga_id)
        was_started = saga.started
        old = saga.state_of(input.step if type(input) is Envelope else str(input[0]))
        decisions = fold_into(item.role, saga, input)
        if decisions and decisions[0] == Ignored("duplicate"):
            return
        if decisions and type(decisions[0]) is Unowned and not was_started:
            self._sagas.forget(item.role, item.saga_id)
            self.counts["forgotten"] += 1  # the topic's retention has deleted what called for it
            return
        rows = Rows(item, old, saga, input, at)
        for decision in decisions:
            self._carry_out(item, rows, decision)
        if type(input) is not Envelope:
            self._unschedule(item, input)
        self._store.append(_marked(rows.entries()))
        for decision in decisions:
            if isinstance(decision, Queue) and decision.task == "observer":
                self._fold(item, Observed(decision.name), at)

    def _carry_out(self, item: Item, rows: Rows, decision: Decision) -> None:
        match decision:
            case Moved():
                rows.moves.append(decision)
            case Publish() | Answer() | Expire():
                self._publish(item, rows, *role_for(item.role, rows.after).outcome_of(decision))
            case Ignored() | Held():
                rows.event_note = "void" if type(decision) is Ignored else "held"
            case Unowned(step):
                rows.event_note = "unowned"
                self.counts["foreign outcomes"] += 1
                self._store.add_dead_letter(
                    dead_letter(item, "outcome", step, FOREIGN_OUTCOME, "rebuilt", rows.now, 0)
                )
            case Bury("event" | "saga" as task, step):
                reason = REUSED_ID if task == "event" else UNKNOWN_VERSION
                self._store.add_dead_letter(dead_letter(item, task, step, reason, "rebuilt", rows.now, 0))
            case Drop(task, name):
                self._store.unschedule(*item.saga_key, task, name)
            case Disarm(name):
                self._store.unschedule(*item.saga_key, "deadline", name)

    def _publish(self, item: Item, rows: Rows, step: str, outcome: str, name: str) -> None:
        """Add an event to the rows that the topic holds; any other remains to be published."""
        identity = event_id(item.saga_id, rows.after.id_type(item.saga_type), step, outcome, name)
        found = self._own_events.get(*item.saga_key, identity)
        if found is not None:
            rows.published.append(found)
            self.counts["own outcomes"] += 1

    def _unschedule(self, item: Item, input: Input) -> None:
        """Remove work that was done from the schedule, as a backup may have it there."""
        name = input[0]
        for task in ("action", "compensation", "deadline", "answer"):
            self._store.unschedule(*item.saga_key, task, str(name))


class _FoldedSagas(Instances):
    """The sagas of a store that has no schedule yet; rows are folded by the releases that it has."""

    def begin(self, roles: Roles) -> None:
        """Fold what follows by these roles."""
        self._roles = roles

    def _stored(self, saga_type: str, saga_id: str) -> Instance:
        entries = self._store.history(saga_id, saga_type)
        role = self._roles.of_rows(saga_type, entries)
        rows = [row.id for row in self._store.saga_log.rows(saga_id) if row.entry.saga_type == saga_type]
        role_at = InForce(self._store.releases()).roles(role, version_of(entries))
        saga = rebuild(role, entries, then=lambda place: role_at(rows[place]))
        saga.keyed_by_id = saga.keyed_by_id or self._store.is_keyed_by_id(saga_id, saga_type)
        return saga


def _input_before(saga: Instance, own: Envelope) -> Begin | Ended | None:
    """Return the input that led to this event; None where it was folded already."""
    progress = saga.step(own.step)
    under_way = progress.state in ("pending", "executing") and progress.activity != "idle"
    if own.outcome != COMPENSATED:
        return Ended(own.step, own.outcome, own.type, reason=REBUILT) if under_way else None
    if progress.state == "compensating":
        return Ended(own.step, COMPENSATED, own.type, reason=REBUILT)
    if not under_way:
        return None
    # It was under way when another participant's deadline for it passed, and had no effect (R5).
    is_late = saga.outcomes.get(own.step) == TIMED_OUT
    return Ended(own.step, FAILED, "", "raised", REBUILT) if is_late else Begin(own.step)


def _triggered_by(item: Item, own: PublishedEvent) -> Item:
    """Return the item with the event that ``own`` answered as its trigger, instead of ``own`` itself."""
    envelope = item.trigger.envelope._replace(id=own.envelope.causation_id)
    return item._replace(trigger=item.trigger._replace(envelope=envelope))


def _marked(entries: object) -> list[Entry]:
    """Return the rows, local ones with the note that they were rebuilt: the lost rows may have held more."""
    rows: list[Entry] = list(entries)  # type: ignore[call-overload]
    return [row if row.input == "event" or row.note else row._replace(note=REBUILT) for row in rows]
