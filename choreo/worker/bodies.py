"""The bodies of events, and how long one may be."""

from __future__ import annotations

from choreo.errors import BodyError
from choreo.events import event_name
from choreo.ports import Codec

MAX_BODY = 512 * 1024
"""The longest body in bytes. A longer one is neither read (it becomes a dead letter) nor emitted, since
no participant would read it; and Kafka, which takes 1 MB, would refuse a far longer one again and again."""


def encode(codec: Codec, event: object) -> bytes:
    """Encode an event that is to be emitted. Raises `BodyError` where it can't be, or is too long."""
    body = codec.encode(event)
    if len(body) > MAX_BODY:
        refuse_too_long(event_name(type(event)), body)
    return body


def refuse_too_long(name: str, body: bytes) -> None:
    """Raise `BodyError` for a body of the event type ``name`` that is longer than any may be."""
    if len(body) > MAX_BODY:
        raise BodyError(f"the body of {name} is {len(body)} bytes long, {MAX_BODY} at most")
