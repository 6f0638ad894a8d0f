"""``Item``: the unit of the worker's work, one saga and the event that triggered the work."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from choreo.envelope import Envelope
from choreo.protocol import Role
from choreo.protocol.recorded_inputs import envelope_of
from choreo.records import Entry, Record, SagaKey


class TriggerEvent(NamedTuple):
    """The event that called a handler; ``time`` is its record's, in milliseconds since the epoch."""

    envelope: Envelope
    body: bytes | None
    topic: str
    partition: int
    offset: int
    time: int
    headers: Sequence[tuple[str, bytes | None]] = ()

    @classmethod
    def of_record(cls, envelope: Envelope, record: Record) -> TriggerEvent:
        """Return the event of a record that was just delivered."""
        return cls(
            envelope,
            record.value,
            record.topic,
            record.partition,
            record.offset,
            record.timestamp,
            record.headers,
        )

    @classmethod
    def of_entry(cls, entry: Entry) -> TriggerEvent:
        """Return the event of an entry of the saga log."""
        return cls(
            envelope_of(entry),
            entry.payload,
            entry.topic,
            entry.partition,
            entry.offset,
            entry.event_time,
        )


class Item(NamedTuple):
    """One saga of one role, and the event that triggered the work."""

    role: Role
    topic: str
    saga_id: str
    trigger: TriggerEvent

    @property
    def saga_type(self) -> str:
        """The saga's name."""
        return self.role.contract.saga

    @property
    def saga_key(self) -> SagaKey:
        """The saga's id and type."""
        return SagaKey(self.saga_id, self.role.contract.saga)
