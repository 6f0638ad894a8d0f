"""``Rows``: the rows of the saga log of one input, its own and one for each consequence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from choreo.envelope import Envelope
from choreo.outcome import START, StepState
from choreo.protocol import Ended, Input, Instance, Moved, Observed
from choreo.protocol.recorded_inputs import INPUT_NAMES, local_fields
from choreo.records import Entry
from choreo.worker.item import Item


@dataclass(slots=True)
class Rows:
    """The consequences of one input as entries of the saga log; ``input`` is None for a postponed answer.

    ``old`` is the state before it of the step that the input is about, ``after`` the saga after it. ``moves``
    are the transitions of own steps, ``published`` the events, with their bodies, that are published because
    of the input. ``event_note`` says what is special about the event: it changes nothing (``void``), is an
    outcome of an own step that this store never produced (``unowned``), or calls for nothing yet (``held``).
    ``detail`` is what an exception said, which has a row of its own where no other has it; ``body`` that of
    the event which a handler returned, kept where it is published later. ``note`` is that of the input's own
    row, where nothing else is said there.
    """

    item: Item
    old: StepState
    after: Instance
    input: Input | None
    now: int
    moves: list[Moved] = field(default_factory=list)
    published: list[tuple[Envelope, bytes]] = field(default_factory=list)
    event_note: Literal["", "void", "unowned", "held"] = ""
    detail: str = ""
    body: bytes = b""
    note: str = ""

    def entries(self) -> Sequence[Entry]:
        """Return the rows; that of a local input has its first transition and the event that it publishes."""
        input = self.input
        rows = []
        if input is not None:
            rows.append(self._event(input) if type(input) is Envelope else self._local(input))
        if self.moves:
            rows += [self._consequence(move) for move in self.moves]
        if self.published:
            rows += [self._publication(envelope, body) for envelope, body in self.published]
        if self.detail and input is not None:
            state = self.after.state_of(input[0])
            rows.append(Entry._make(self._row("", input[0], state, state, self.detail)))
        return rows

    def _event(self, event: Envelope) -> Entry:
        item = self.item
        trigger, role = item.trigger, item.role
        old = self.old
        stays = self.event_note == "void" or event.step in role.action
        return Entry(
            item.saga_id,
            item.role.contract.saga,
            event.saga_version,
            self.after.state,
            self.now,
            "event",
            event.step,
            old,
            old if stays else self.after.state_of(event.step),
            event.id,
            event.type,
            event.outcome,
            event.kind,
            event.source,
            event.causation_id,
            trigger.topic,
            trigger.partition,
            trigger.offset,
            trigger.time,
            trigger.body if event.type in role.handles or self._is_kept(event) else None,
            self.event_note,
            event.traceparent,
        )

    def _is_kept(self, event: Envelope) -> bool:
        """Whether the body is kept for later: of an event that is held, or of an own one from elsewhere."""
        role = self.item.role
        return self.event_note in ("unowned", "held") or (
            event.step == START and role.owns_start and event.source != role.participant
        )

    def _local(self, input: Any) -> Entry:
        step = input[0]
        outcome, event_type, kind, causation_id, note = local_fields(input)
        old = new = self.old
        if self.moves and self.moves[0].step == step:
            move = self.moves.pop(0)
            old, new, note = move.old, move.new, note or move.note
        elif type(input) is Observed:
            new = "completed"
        row = self._row(INPUT_NAMES[type(input)], step, old, new, note or self.note, kind, causation_id)
        if type(input) is Ended and self._publishes(step, outcome):
            return self._with(row, *self.published.pop(0))
        row[_TYPE], row[_OUTCOME] = event_type, outcome
        if kind == "partial" and event_type:
            row[_PAYLOAD] = self.body
        return Entry._make(row)

    def _publishes(self, step: str, outcome: str) -> bool:
        return bool(self.published) and self.published[0][0][7:9] == (step, outcome)

    def _consequence(self, move: Moved) -> Entry:
        for found in self.published:
            if found[0].step == move.step:
                self.published.remove(found)
                row = self._row("", move.step, move.old, move.new, move.note, found[0].kind)
                return self._with(row, *found)
        return Entry._make(self._row("", move.step, move.old, move.new, move.note))

    def _publication(self, envelope: Envelope, body: bytes) -> Entry:
        state = self.after.state_of(envelope.step)
        return self._with(self._row("", envelope.step, state, state, "", envelope.kind), envelope, body)

    def _with(self, row: list[Any], envelope: Envelope, body: bytes) -> Entry:
        """Return the entry of a row with the published event."""
        row[_ID], row[_TYPE], row[_OUTCOME] = envelope.id, envelope.type, envelope.outcome
        row[_SOURCE], row[_CAUSE], row[_TIME] = envelope.source, envelope.causation_id, envelope.time
        row[_PAYLOAD], row[_TRACE] = body, envelope.traceparent
        return Entry._make(row)

    def _row(
        self, name: str, step: str, old: str, new: str, note: str, kind: str = "", causation_id: str = ""
    ) -> list[Any]:
        """Return the columns of a row without an event of the topic, in the order of `Entry`."""
        item, after, saga_type = self.item, self.after, self.item.role.contract.saga
        cause = causation_id or item.trigger.envelope.id
        head = [item.saga_id, saga_type, after.version, after.state, self.now, name, step, old, new]
        return [*head, "", "", "", kind, "", cause, "", -1, -1, 0, None, note, ""]


_ID, _TYPE, _OUTCOME, _SOURCE, _CAUSE, _TIME, _PAYLOAD, _TRACE = (
    Entry._fields.index(name)
    for name in (
        "event_id",
        "event_type",
        "outcome",
        "source",
        "causation_id",
        "event_time",
        "payload",
        "traceparent",
    )
)


def emitted_row(envelope: Envelope, body: bytes, state: str) -> Entry:
    """Return the row of an event that no handler returned: a start, a cancellation, an import."""
    starts = envelope.step == START
    return Entry(
        saga_id=envelope.saga_id,
        saga_type=envelope.saga_type,
        saga_version=envelope.saga_version,
        saga_state=state,
        recorded_at=envelope.time,
        # An import or a cancellation changes nothing until the log has it; a start has its result at once.
        input="ended" if starts else "",
        step=envelope.step,
        old_state="pending",
        new_state="completed",
        event_id=envelope.id,
        event_type=envelope.type,
        outcome=envelope.outcome,
        kind="returned" if starts else envelope.kind,
        source=envelope.source,
        event_time=envelope.time,
        payload=body,
    )
