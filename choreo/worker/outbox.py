"""The outbox: the rows of emitted events, and the records that publish them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from choreo.chain import PRUNED
from choreo.cloudevents import MAX_SAGA_ID, headers_from, lines_of
from choreo.envelope import Envelope, event_id
from choreo.errors import wrong_argument
from choreo.events import event_name
from choreo.outcome import START, SUCCEEDED
from choreo.participant import Participant
from choreo.ports import Clock, Codec, JoinedStore, Publication
from choreo.records import Unpublished, version_of
from choreo.saga import Saga
from choreo.worker.bodies import encode
from choreo.worker.rows import emitted_row
from choreo.worker.tracing import sending


def outbox_rows(envelope: Envelope, topics: Iterable[str], body: bytes) -> list[Unpublished]:
    """Return the outbox rows of an event, one for each topic; its headers are lines ``name: value``."""
    headers = lines_of(envelope)
    return [
        Unpublished(envelope.id, envelope.saga_id, envelope.saga_type, topic, headers, body)
        for topic in topics
    ]


def publications(rows: Iterable[Unpublished]) -> list[Publication]:
    """Return the records that publish rows of the outbox."""
    return [
        Publication(row.seq, row.topic, row.saga_id.encode(), headers_from(row.headers), row.body)
        for row in rows
    ]


class Publisher:
    """Publishes events that no handler returned, inside a transaction: a start, a cancellation, an import."""

    def __init__(self, participant: Participant, store: JoinedStore, codec: Codec, clock: Clock) -> None:
        self._participant = participant
        self._store = store
        self._codec = codec
        self._clock = clock

    def publish(
        self, saga: Saga, saga_id: str, step: str, kind: Any, event: object, cause: str | None = None
    ) -> None:
        """Publish the success of a step, once: nothing happens when the store has it already.

        ``cause`` is the trace context of a record that is imported; None where the caller's own counts.
        Raises `ConfigurationError` for a saga id that every reader would refuse.
        """
        refuse_bad_id(saga_id)
        name, now = event_name(type(event)), self._clock.now()
        history = self._store.history(saga_id, saga.name)
        keyed, by_id = (event_id(saga_id, each, step, SUCCEEDED, name) for each in (saga.name, ""))
        if any(entry.event_id in (keyed, by_id) or entry.input == PRUNED for entry in history):
            return
        is_keyed_by_id = bool(history) and self._store.is_keyed_by_id(saga_id, saga.name)
        participant = self._participant
        envelope = Envelope(
            by_id if is_keyed_by_id else keyed,
            participant.name,
            name,
            now,
            saga_id,
            saga.name,
            saga.version if step == START else version_of(history) or saga.version,
            step,
            SUCCEEDED,
            kind,
        )
        # The saga's trace begins here, or continues that of the caller.
        envelope = envelope._replace(traceparent=sending(saga.topic, envelope, cause))
        body = encode(self._codec, event)
        state = history[-1].saga_state if history else "started"
        rows = outbox_rows(envelope, (saga.topic, *participant.exports(name)), body)
        self._store.emit(emitted_row(envelope, body, state), rows)


def refuse_bad_id(saga_id: object) -> None:
    """Refuse a saga id that every reader would refuse. Raises `ConfigurationError`."""
    if not isinstance(saga_id, str):
        raise wrong_argument("saga_id", saga_id, "a text", hint="give a str, as of str(order.id)")
    if not saga_id or len(saga_id) > MAX_SAGA_ID or not saga_id.isprintable():
        raise wrong_argument("saga_id", saga_id, "a saga id: it has 1 to 255 printable characters")
