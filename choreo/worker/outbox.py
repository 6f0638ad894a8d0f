"""From an event that a step emits to the row of the outbox that publishes it."""

from __future__ import annotations

from collections.abc import Iterable

from choreo.cloudevents import headers_of
from choreo.envelope import Envelope
from choreo.ports import Publication
from choreo.records import Unpublished


def outbox_rows(envelope: Envelope, topics: Iterable[str], body: bytes) -> list[Unpublished]:
    """Give the outbox rows of an event, a topic each; its headers are lines ``name: value``, to be read."""
    # No value holds a line's end: `headers_of` refuses control characters.
    lines = b"\n".join([b"%s: %s" % (name.encode(), value) for name, value in headers_of(envelope)])
    headers = lines.decode()
    return [Unpublished(envelope.id, envelope.saga_id, topic, headers, body) for topic in topics]


def publication(row: Unpublished) -> Publication:
    """Give the record that publishes an outbox row."""
    headers = [
        (line[0], line[2].encode()) for line in [each.partition(": ") for each in row.headers.split("\n")]
    ]
    return Publication(row.seq, row.topic, row.saga_id.encode(), headers, row.body)
