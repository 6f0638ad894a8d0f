"""From an event that a step emits to the row of the outbox that publishes it."""

from __future__ import annotations

import json
from collections.abc import Sequence

from choreo.envelope import Envelope
from choreo.kafka.cloudevents import headers_of
from choreo.ports import Publication, Unpublished


def outbox_row(envelope: Envelope, topic: str, body: bytes) -> Unpublished:
    """Give the outbox row of an event."""
    headers = [(name, value.decode()) for name, value in headers_of(envelope)]
    return Unpublished(envelope.id, envelope.saga_id, topic, json.dumps(headers), body)


def publication(row: Unpublished) -> Publication:
    """Give the record that publishes an outbox row."""
    headers: Sequence[tuple[str, str]] = json.loads(row.headers)
    encoded = [(name, value.encode()) for name, value in headers]
    return Publication(row.seq, row.topic, row.saga_id.encode(), encoded, row.body)
