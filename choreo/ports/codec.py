"""``Codec``: the interface of the worker to the encoding of event bodies."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, Protocol

from choreo.manifest import SchemaEntry

MAX_BODY: Final = 512 * 1024
"""The greatest length of a body in bytes. A longer one is neither read (it becomes a dead letter) nor
emitted: Kafka refuses records of more than 1 MB by default."""


class Codec(Protocol):
    """Encodes events as bodies, and decodes bodies as events."""

    def encode(self, event: object) -> bytes:
        """Encode an event. Raises `BodyError` when a field's value doesn't fit the schema."""
        ...

    def decode(self, type_name: str, body: bytes | None) -> object:
        """Decode a body into the event class of that name.

        Raises `UnknownFingerprint` when the writer's schema isn't known (yet), `BodyError` when the
        body can't be read at all.
        """
        ...

    def schemas(self) -> Mapping[str, SchemaEntry]:
        """Return the schema with which each event is written, by the event's full name."""
        ...

    def answer(
        self, answer: SchemaEntry, bodies: Sequence[bytes], known: Iterable[SchemaEntry], reason: str
    ) -> bytes:
        """Build an event by its schema, from the fields of the same name and type in the bodies of others.

        ``known`` are schemas that may have written these; ``reason`` fills the field of that name. Raises
        `BodyError` where that can't be done.
        """
        ...
