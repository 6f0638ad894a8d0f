"""The encoding of event bodies, none of which is longer than `MAX_BODY`."""

from __future__ import annotations

from choreo.errors import BodyError
from choreo.events import event_name
from choreo.ports import Codec
from choreo.ports.codec import MAX_BODY


def encode(codec: Codec, event: object) -> bytes:
    """Return the body of an emitted event. Raises `BodyError` where it can't be encoded, or is too long."""
    body = codec.encode(event)
    if len(body) > MAX_BODY:
        refuse_too_long(event_name(type(event)), body)
    return body


def refuse_too_long(name: str, body: bytes) -> None:
    """Raise `BodyError` for a body of the event type ``name`` that is too long."""
    if len(body) > MAX_BODY:
        raise BodyError(f"the body of {name} is {len(body)} bytes long, {MAX_BODY} at most")
