"""From an event that a step emits to the row of the outbox that publishes it."""

from __future__ import annotations

from choreo.envelope import Envelope
from choreo.kafka.cloudevents import headers_of
from choreo.ports import Publication, Unpublished


def outbox_row(envelope: Envelope, topic: str, body: bytes) -> Unpublished:
    """Give the outbox row of an event; its headers are lines ``name: value``, as people read them."""
    # No value holds a line's end: `headers_of` refuses control characters.
    lines = b"\n".join([b"%s: %s" % (name.encode(), value) for name, value in headers_of(envelope)])
    return Unpublished(envelope.id, envelope.saga_id, topic, lines.decode(), body)


def publication(row: Unpublished) -> Publication:
    """Give the record that publishes an outbox row."""
    headers = [
        (line[0], line[2].encode()) for line in [each.partition(": ") for each in row.headers.split("\n")]
    ]
    return Publication(row.seq, row.topic, row.saga_id.encode(), headers, row.body)
