"""The spans of a participant: one for each attempt of a handler, and one for each event that it publishes.

Each attribute costs a quarter of what an empty span does. So what the conventions have a name for, such as a
saga's id, is told by that alone, and what follows from another attribute, or is so by default, is left out.
"""

from __future__ import annotations

from choreo import telemetry
from choreo.envelope import Envelope
from choreo.errors import SavepointSkipped
from choreo.outcome import COMPENSATED, FAILED, SUCCEEDED, TIMED_OUT
from choreo.participant import Handler
from choreo.telemetry import Value
from choreo.worker.failure import is_ignored, name_of
from choreo.worker.item import Item


class Handling(telemetry.Processing):
    """The span of one attempt of a handler; it fails with the block."""

    def __init__(self, item: Item, handler: Handler, attempt: int) -> None:
        self._handler = handler
        trigger = item.trigger
        attributes = _of_message(item.topic, trigger.envelope, handler.step)
        attributes["messaging.consumer.group.name"] = handler.name.partition(".")[0]
        if trigger.offset >= 0:
            attributes["messaging.destination.partition.id"] = str(trigger.partition)
            attributes["messaging.kafka.offset"] = trigger.offset
        if handler.task != "action":
            attributes["choreo.task"] = handler.task
        if handler.name != handler.step:
            attributes["choreo.handler"] = handler.name
        if attempt > 1:
            attributes["choreo.attempt"] = attempt
        super().__init__(item.topic, trigger.envelope.traceparent, attributes)

    def __exit__(self, kind: object, error: BaseException | None, where: object) -> None:
        if error is not None:
            self.raised(error)
        super().__exit__(kind, error, where)

    def returned(self, event_type: str) -> None:
        """Note which outcome the event that it returned means; a failure that it returned is no error."""
        outcome = _outcome(self._handler, event_type)
        if outcome not in ("", SUCCEEDED):
            self.span.set_attribute("choreo.outcome", outcome)

    def told(self, verdict: str, event_type: str, error_type: str) -> None:
        """Note what came of it, as `choreo.worker.attempt.Attempt` has it."""
        if verdict in ("returned", "ignored"):
            self.returned(event_type)
        else:
            self.fail(error_type)

    def raised(self, error: BaseException) -> None:
        """Note what it raised; an error that its declaration ignores is a compensation that is done."""
        if isinstance(error, SavepointSkipped) and error.__cause__ is not None:
            error = error.__cause__
        if is_ignored(error, self._handler.ignore):
            self.returned("")
        else:
            self.fail(name_of(error))


def sending(topic: str, event: Envelope, cause: str | None = None) -> str:
    """Write the span of an event that is published, and return its context, as `choreo.telemetry.sending`."""
    if not telemetry.is_on():
        return telemetry.context() if cause is None else cause
    attributes = _of_message(topic, event, event.step)
    if event.outcome != SUCCEEDED:
        attributes["choreo.outcome"] = event.outcome
    return telemetry.sending(topic, attributes, cause)


def _of_message(topic: str, event: Envelope, step: str) -> dict[str, Value]:
    attributes: dict[str, Value] = {
        "messaging.message.id": event.id,
        "messaging.message.conversation_id": event.saga_id,
        "cloudevents.event_type": event.type,
        "choreo.step": step,
    }
    if event.saga_type != topic:
        attributes["choreo.saga_type"] = event.saga_type
    return attributes


def _outcome(handler: Handler, event_type: str) -> str:
    if handler.task == "action":
        return SUCCEEDED if event_type in handler.successes else FAILED
    return {"compensation": COMPENSATED, "deadline": TIMED_OUT}.get(handler.task, "")
