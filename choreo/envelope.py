"""``Envelope``: the CloudEvents attributes of an event, from its headers, without its body."""

from __future__ import annotations

from hashlib import blake2b
from typing import NamedTuple

from choreo.outcome import Kind, Outcome


class Envelope(NamedTuple):
    """The attributes of one event of a saga (CloudEvents 1.0 with choreo's extensions).

    ``time`` is in milliseconds since the epoch. A saga is folded from envelopes alone; only a participant
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


def event_id(saga_id: str, step: str, outcome: str, event_type: str) -> str:
    """Return the id of an event, which is derived from the saga, the step, the outcome and the event type.

    A retry, a restart or a replay repeats the id, so a reader ignores the repeated event (R2).

    >>> event_id("s-1", "payments.charge", "succeeded", "shop.PaymentProcessed")
    '2e2f0a9058ebd117bd021286599ebea7'
    """
    return _digest("event", saga_id, step, outcome, event_type)


def idempotency_key(saga_id: str, step: str, action: str) -> str:
    """Return the key with which an external API does a step, or its compensation, only once.

    ``action`` is ``"action"`` or ``"compensation"``. Stable across retries, replays and restarts.
    """
    return _digest("idempotency", saga_id, step, action)


def _digest(*parts: str) -> str:
    return blake2b("\x1f".join(parts).encode(), digest_size=16).hexdigest()
