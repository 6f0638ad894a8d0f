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
from choreo.replay.outcomes import REBUILT, Outcomes, Published, called_by, told_before
from choreo.worker.case import Case, Cause, unreadable_record
from choreo.worker.rows import Rows, emitted_row
from choreo.worker.sagas import Sagas, history_of

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
        self._sagas = Sagas(store, _SAGAS_IN_MEMORY)

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
        case = Case(role, record.topic, envelope.saga_id, Cause.taken(envelope, record))
        own = self._outcomes.get(envelope.id)
        if own is not None:
            self._decide(called_by(case, own), own)
        self._tell(case, envelope, record.timestamp)
        self.counts["events"] += 1
        for answer in self._outcomes.caused_by(envelope.id):
            self._decide(case, answer)

    def _read(self, record: Record) -> Envelope | None:
        try:
            envelope = cloudevents.read(record)
        except HeadersError:
            return None
        return envelope if envelope.saga_type == self._types.get(record.topic) else None

    def _decide(self, case: Case, own: Published) -> None:
        """Tell the protocol what it must have been told before this event was published, unless it was."""
        saga, envelope = self._sagas.get(case.role, case.saga_id), own.envelope
        if envelope.step == START and envelope.outcome == SUCCEEDED and case.role.owns_start:
            if not saga.step(START).result:
                self._start(case, own)
        elif envelope.step in case.role.action:
            told = told_before(saga, envelope)
            if told is not None:
                self._tell(case, told, envelope.time)
        elif envelope.outcome == TIMED_OUT:
            self._expire(case, saga, own)
        elif not any(each.event_id == envelope.id for each in self._history(case)):
            self._append_emitted(case, own)

    def _start(self, case: Case, own: Published) -> None:
        """Write the row with which the participant began the saga."""
        told = Ended(START, SUCCEEDED, own.envelope.type)
        after, _ = fold(case.role, self._sagas.get(case.role, case.saga_id), told)
        self._append_emitted(case, own)
        self._sagas.put(case.role, case.saga_id, after)
        self.counts["own outcomes"] += 1

    def _append_emitted(self, case: Case, own: Published) -> None:
        history = self._history(case)
        state = history[-1].saga_state if history else "started"
        self._store.append((emitted_row(own.envelope, own.body, state)._replace(note=REBUILT),))

    def _history(self, case: Case) -> list[Entry]:
        return history_of(self._store, case.saga_type, case.saga_id)

    def _expire(self, case: Case, saga: Instance, own: Published) -> None:
        for deadline in case.role.deadlines:
            is_it = (deadline.of, deadline.answer) == (own.envelope.step, own.envelope.type)
            if is_it and saga.deadlines.get(deadline.name) == "armed":
                self._tell(case, Due(deadline.name), own.envelope.time)

    def _tell(self, case: Case, told: Input, at: int) -> None:
        before = self._sagas.get(case.role, case.saga_id)
        after, decisions = fold(case.role, before, told)
        if decisions and decisions[0] == Ignored("duplicate"):
            return
        if decisions and type(decisions[0]) is Unowned:
            if before.started:
                raise _unexplained(case)
            self.counts["forgotten"] += 1  # the topic's retention has deleted what called for it
            return
        rows = Rows(case, before, after, told, at)
        for decision in decisions:
            self._carry_out(case, rows, decision)
        self._sagas.put(case.role, case.saga_id, after)
        if type(told) is not Envelope:
            self._take_off(case, told)
        self._store.append(_marked(rows.entries()))
        for decision in decisions:
            if isinstance(decision, Queue) and decision.task == "observer":
                self._tell(case, Observed(decision.name), at)

    def _carry_out(self, case: Case, rows: Rows, decision: Decision) -> None:
        match decision:
            case Moved():
                rows.moved(decision)
            case Publish(step, outcome, name) | Answer(step, outcome, name):
                self._publish(case, rows, step, outcome, name)
            case Expire(name):
                deadline = case.role.deadline[name]
                self._publish(case, rows, deadline.of, TIMED_OUT, deadline.answer)
            case Ignored():
                rows.void()
            case Drop(task, name):
                self._store.unschedule(case.saga_id, task, name)
            case Disarm(name):
                self._store.unschedule(case.saga_id, "deadline", name)

    def _publish(self, case: Case, rows: Rows, step: str, outcome: str, name: str) -> None:
        """Note an event that the topic holds; an answer that it doesn't is owed, and given later."""
        found = self._outcomes.get(event_id(case.saga_id, step, outcome, name))
        if found is not None:
            rows.published(*found)
            self.counts["own outcomes"] += 1

    def _take_off(self, case: Case, told: Input) -> None:
        """Take what was done off the schedule, where a backup has it there."""
        name = told[0]
        for task in ("action", "compensation", "deadline", "answer"):
            self._store.unschedule(case.saga_id, task, str(name))


def _marked(entries: object) -> list[Entry]:
    """Mark the rows of what happened locally, as far as the lost file may have said more of it."""
    rows: list[Entry] = list(entries)  # type: ignore[call-overload]
    return [row if row.input == "event" or row.note else row._replace(note=REBUILT) for row in rows]


def _unexplained(case: Case) -> ReplayError:
    cause = case.cause
    what = f"{case.topic}[{cause.partition}]@{cause.offset}: an outcome of {cause.envelope.step}"
    return ReplayError(
        f"{what}, saga {case.saga_id}, that nothing in the topic explains",
        hint="was it another release of the service? rebuild with its code",
    )
