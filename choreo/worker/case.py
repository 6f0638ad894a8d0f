"""What is being worked on: one saga, and the event that caused the work."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Sequence
from typing import NamedTuple

from choreo.cloudevents import headers_of
from choreo.envelope import Envelope
from choreo.protocol import Role
from choreo.protocol.history import envelope_of
from choreo.records import DeadLetter, Entry, Record, Scheduled

UNKNOWN_HANDLER = "unknown-handler"
"""Why a dead letter is kept of what is scheduled for a handler that is gone."""


class Cause(NamedTuple):
    """The event that called a handler; ``time`` is its record's, in milliseconds since the epoch."""

    envelope: Envelope
    body: bytes | None
    topic: str
    partition: int
    offset: int
    time: int
    headers: Sequence[tuple[str, bytes | None]] = ()

    @classmethod
    def taken(cls, envelope: Envelope, record: Record) -> Cause:
        """Make the cause of a record that the log has just delivered."""
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
    def remembered(cls, entry: Entry) -> Cause:
        """Make the cause of an event that stands in the saga log."""
        return cls(
            envelope_of(entry),
            entry.payload,
            entry.topic,
            entry.partition,
            entry.offset,
            entry.event_time,
        )


class Case(NamedTuple):
    """One saga of one role, and the event that is being answered to."""

    role: Role
    topic: str
    saga_id: str
    cause: Cause

    @property
    def saga_type(self) -> str:
        """The saga's name."""
        return self.role.contract.saga


def dead_letter(
    case: Case, task: str, name: str, reason: str, detail: str, now: int, attempt: int
) -> DeadLetter:
    """Give the dead letter of a handler that can't go on, with the record that called it."""
    cause = case.cause
    return DeadLetter(
        reason,
        detail,
        now,
        case.saga_id,
        case.saga_type,
        task,
        name,
        cause.envelope.id,
        cause.envelope.type,
        cause.topic,
        cause.partition,
        cause.offset,
        case.saga_id.encode(),
        raw_headers(cause.headers or headers_of(cause.envelope)),
        cause.body,
        attempt,
    )


def unreadable_record(record: Record, reason: str, detail: str, now: int) -> DeadLetter:
    """Give the dead letter of a record whose headers can't be read: it belongs to no saga that we know."""
    return DeadLetter(
        reason,
        detail,
        now,
        topic=record.topic,
        partition=record.partition,
        offset=record.offset,
        key=record.key,
        headers=raw_headers(record.headers),
        value=record.value,
    )


def unknown_handler(row: Scheduled, now: int) -> DeadLetter:
    """Give the dead letter of what is scheduled for a handler that the service doesn't declare any more."""
    return DeadLetter(
        UNKNOWN_HANDLER,
        f"the service has no {row.name} any more",
        now,
        row.saga_id,
        row.saga_type,
        row.task,
        row.name,
        row.event_id,
        attempt=max(row.attempt, 0),
    )


def raw_headers(headers: Sequence[tuple[str, bytes | None]]) -> str:
    """Write headers as JSON; values in base64, as they may be any bytes."""
    return json.dumps(
        [(name, None if value is None else b64encode(value).decode()) for name, value in headers or ()]
    )
