"""The rows of the saga log that one input makes: the input's own, then a row for each consequence."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from choreo.envelope import Envelope
from choreo.ports import Entry
from choreo.protocol import Input, Instance, Moved
from choreo.worker.case import Case
from choreo.worker.entries import INPUT_NAMES, local_fields


class Rows:
    """Collects the entries of one input, in order."""

    def __init__(self, case: Case, before: Instance, after: Instance, told: Input, now: int) -> None:
        self._case = case
        self._after = after
        self._now = now
        first = self._event_row(before, told) if type(told) is Envelope else self._local_row(before, told)
        self._rows: list[dict[str, Any]] = [first]

    def moved(self, move: Moved) -> None:
        """Add a transition; the first one of a local input is that input's own row."""
        first = self._rows[0]
        is_own = len(self._rows) == 1 and first["input"] != "event" and first["step"] == move.step
        if is_own and first["old_state"] == first["new_state"]:
            first["new_state"] = move.new
            first["note"] = first["note"] or move.note
            return
        row = self._row("", move.step, move.old, move.new)
        row["causation_id"] = self._case.cause.envelope.id
        row["note"] = move.note
        self._rows.append(row)

    def published(self, envelope: Envelope, body: bytes) -> None:
        """Note on the step's last row which event it publishes."""
        row = self._rows[-1]
        if row["step"] != envelope.step or row["event_id"] or row["input"] == "event":
            state = self._after.state_of(envelope.step)
            row = self._row("", envelope.step, state, state)
            self._rows.append(row)
        row["event_id"] = envelope.id
        row["source"] = envelope.source
        row["causation_id"] = envelope.causation_id
        row["payload"] = body
        row["event_time"] = envelope.time
        if not row["input"]:
            row["event_type"], row["outcome"], row["kind"] = envelope.type, envelope.outcome, envelope.kind

    def void(self) -> None:
        """Note that the event counts for nothing."""
        self._rows[0]["note"] = "void"
        self._rows[0]["new_state"] = self._rows[0]["old_state"]

    def entries(self) -> Sequence[Entry]:
        """Give the collected rows."""
        return [Entry(**row) for row in self._rows]

    def _row(self, name: str, step: str, old: str, new: str) -> dict[str, Any]:
        return {
            "saga_id": self._case.saga_id,
            "saga_type": self._case.saga_type,
            "saga_version": self._after.version,
            "saga_state": self._after.state,
            "recorded_at": self._now,
            "input": name,
            "step": step,
            "old_state": old,
            "new_state": new,
            "event_id": "",
            "note": "",
        }

    def _local_row(self, before: Instance, told: Any) -> dict[str, Any]:
        step = told[0]
        state = before.state_of(step)
        row = self._row(INPUT_NAMES[type(told)], step, state, state)
        row.update(local_fields(told))
        return row

    def _event_row(self, before: Instance, event: Envelope) -> dict[str, Any]:
        role, cause = self._case.role, self._case.cause
        old = before.state_of(event.step)
        row = self._row(
            "event", event.step, old, old if event.step in role.action else self._after.state_of(event.step)
        )
        row.update(
            saga_version=event.saga_version,
            event_id=event.id,
            event_type=event.type,
            outcome=event.outcome,
            kind=event.kind,
            source=event.source,
            causation_id=event.causation_id,
            topic=cause.topic,
            partition=cause.partition,
            offset=cause.offset,
            event_time=cause.time,
            payload=cause.body if event.type in role.handles else None,
        )
        return row
