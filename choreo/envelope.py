"""``Envelope``: the CloudEvents attributes of an event, from its headers, without its body."""

from __future__ import annotations

from hashlib import blake2b
from typing import NamedTuple

from choreo.outcome import Kind, Outcome


class Envelope(NamedTuple):
    """The attributes of one event of a saga (CloudEvents 1.0 with choreo's extensions).

    ``time`` is in milliseconds since the epoch; ``traceparent`` is the whole trace context, as
    `choreo.trace_context` joins it. A saga is folded from envelopes alone; only a participant
    that handles the event needs its body (R1).
    """

    id: str
    source: str
    type: str
    time: int
    saga_id: str
    saga_type: str
    saga_version: int
    step: str
    outcome: Outcome
    kind: Kind
    causation_id: str = ""
    traceparent: str = ""


def event_id(saga_id: str, saga_type: str, step: str, outcome: str, event_type: str) -> str:
    """Return the id of an event, which is derived from the saga, the step, the outcome and the event type.

    A retry, a restart or a replay repeats the id, so a reader ignores the repeated event (R2). ``saga_type``
    is empty for a saga whose ids are derived from its id alone (`choreo.ports.Store.is_keyed_by_id`).

    >>> event_id("s-1", "order", "payments.charge", "succeeded", "shop.PaymentProcessed")
    '0da27b1c6ddcce7d368bcdd3e320d9e7'
    """
    return _digest("event", saga_id, saga_type, step, outcome, event_type)


def is_keyed_by_id(event: Envelope) -> bool:
    """Whether an event's id was derived from its saga's id alone, as by an earlier choreo."""
    return event.id == event_id(event.saga_id, "", event.step, event.outcome, event.type)


def idempotency_key(saga_id: str, saga_type: str, step: str, task: str) -> str:
    """Return the key with which an external API does a step, or its compensation, only once.

    ``task`` is ``"action"`` or ``"compensation"``. Stable across retries, replays and restarts.
    ``saga_type`` is as for `event_id`.
    """
    return _digest("idempotency", saga_id, saga_type, step, task)


def _digest(use: str, saga_id: str, saga_type: str, *parts: str) -> str:
    parts = (use, saga_id, saga_type, *parts) if saga_type else (use, saga_id, *parts)
    return blake2b("\x1f".join(parts).encode(), digest_size=16).hexdigest()
