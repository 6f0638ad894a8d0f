"""What the headers of an event say: the CloudEvents attributes, without the body."""

from __future__ import annotations

from hashlib import blake2b
from typing import NamedTuple

from choreo.outcome import Kind, Outcome


class Envelope(NamedTuple):
    """The attributes of one event of a saga's log (CloudEvents 1.0 with choreo's extensions).

    ``time`` is in milliseconds since the epoch. Everybody folds a saga from these alone; a body is
    needed only by who handles the event.
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
    """Derive the id of an outcome: the same saga, step, outcome and type give the same id for ever.

    A retry, a restart, a replay or a second relay so repeats the id, and a reader that has seen it
    once can ignore it (rule R2).

    >>> event_id("s-1", "payments.charge", "succeeded", "shop.PaymentProcessed")
    '2e2f0a9058ebd117bd021286599ebea7'
    """
    return _digest("event", saga_id, step, outcome, event_type)


def idempotency_key(saga_id: str, step: str, action: str) -> str:
    """Derive the key that an external API may use to do a step, or its compensation, once.

    ``action`` is ``"action"`` or ``"compensation"``. Stable across retries, replays and restarts.
    """
    return _digest("idempotency", saga_id, step, action)


def _digest(*parts: str) -> str:
    return blake2b("\x1f".join(parts).encode(), digest_size=16).hexdigest()
