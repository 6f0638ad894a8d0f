"""The spans of a participant: one for each attempt of a handler, and one for each event that it publishes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from choreo import telemetry
from choreo.envelope import Envelope
from choreo.errors import SavepointSkipped
from choreo.outcome import COMPENSATED, FAILED, SUCCEEDED, TIMED_OUT
from choreo.participant import Handler
from choreo.telemetry import Value
from choreo.worker.failure import is_ignored, name_of
from choreo.worker.item import Item


class Handling:
    """The span of one attempt of a handler."""

    def __init__(self, handler: Handler, span: telemetry.Span) -> None:
        self._handler = handler
        self._span = span

    def returned(self, event_type: str) -> None:
        """Note which outcome the event that it returned means; a failure that it returned is no error."""
        outcome = _outcome(self._handler, event_type)
        if outcome:
            self._span.set_attribute("choreo.outcome", outcome)

    def told(self, verdict: str, event_type: str, error_type: str) -> None:
        """Note what came of it, as `choreo.worker.attempt.Attempt` has it."""
        if verdict in ("returned", "ignored"):
            self.returned(event_type)
        else:
            telemetry.fail(self._span, error_type)

    def raised(self, error: BaseException) -> None:
        """Note what it raised; an error that its declaration ignores is a compensation that is done."""
        if isinstance(error, SavepointSkipped) and error.__cause__ is not None:
            error = error.__cause__
        if is_ignored(error, self._handler.ignore):
            self.returned("")
        else:
            telemetry.fail(self._span, name_of(error))


@contextmanager
def handling(item: Item, handler: Handler, attempt: int) -> Iterator[Handling]:
    """Open the span of an attempt; it fails with the block."""
    trigger = item.trigger
    participant = handler.name.partition(".")[0]
    attributes: dict[str, Value] = {
        "messaging.consumer.group.name": participant,
        **_of_message(trigger.envelope),
        **_of_saga(participant, item.saga_type, item.saga_id, handler.step),
        "choreo.handler": handler.name,
        "choreo.task": handler.task,
        "choreo.attempt": attempt,
    }
    if trigger.offset >= 0:
        attributes["messaging.destination.partition.id"] = str(trigger.partition)
        attributes["messaging.kafka.offset"] = trigger.offset
    with telemetry.processing(item.topic, trigger.envelope.traceparent, attributes) as span:
        told = Handling(handler, span)
        try:
            yield told
        except BaseException as error:
            told.raised(error)
            raise


def sending(topic: str, event: Envelope, cause: str | None = None) -> str:
    """Write the span of an event that is published, and return its context, as `choreo.telemetry.sending`."""
    attributes: dict[str, Value] = {
        **_of_message(event),
        **_of_saga(event.source, event.saga_type, event.saga_id, event.step),
        "choreo.outcome": event.outcome,
    }
    return telemetry.sending(topic, attributes, cause)


def _of_message(event: Envelope) -> dict[str, Value]:
    return {
        "messaging.message.id": event.id,
        "messaging.message.conversation_id": event.saga_id,
        "cloudevents.event_type": event.type,
    }


def _of_saga(participant: str, saga_type: str, saga_id: str, step: str) -> dict[str, Value]:
    return {
        "choreo.participant": participant,
        "choreo.saga_type": saga_type,
        "choreo.saga_id": saga_id,
        "choreo.step": step,
    }


def _outcome(handler: Handler, event_type: str) -> str:
    if handler.task == "action":
        return SUCCEEDED if event_type in handler.successes else FAILED
    return {"compensation": COMPENSATED, "deadline": TIMED_OUT}.get(handler.task, "")
