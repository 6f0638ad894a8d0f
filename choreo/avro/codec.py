"""The codec: event bodies in Avro's single-object encoding.

``C3 01``, the schema's CRC-64-AVRO fingerprint (8 bytes, little-endian), then the record. Source:
Apache Avro 1.12 specification, "Single-object encoding".
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

from fastavro import schemaless_reader, schemaless_writer

from choreo.avro.answers import answer_body
from choreo.avro.derivation import derive
from choreo.avro.resolution import logical_changes, resolve
from choreo.avro.schema import HEADER_BYTES, MARKER, ParsedSchema, parse_schema
from choreo.avro.schema_files import SchemaFolders
from choreo.avro.types import Convert, Mismatch
from choreo.errors import BodyError, SchemaError, UnknownFingerprint
from choreo.events import event_name
from choreo.manifest import SchemaEntry

_ALIKE = "bodies of both have the fingerprint {}, so no reader can tell them apart"


class _Type:
    """One event class with its schema and conversions."""

    __slots__ = ("bare", "header", "name", "parsed", "read", "schema", "to_avro")

    def __init__(self, cls: type) -> None:
        avro_type = derive(cls)
        self.name = event_name(cls)
        self.schema = avro_type.schema
        self.parsed = parse_schema(self.schema)
        self.header = self.parsed.header
        self.bare = self.parsed.bare
        self.to_avro: Convert = avro_type.to_avro
        self.read: Convert = avro_type.from_avro or (lambda values: values)

    def refuse(self, why: str) -> None:
        """Write no body of this class, and read none as its own."""
        self.header = b""

        def to_avro(_: Any) -> Any:
            raise Mismatch(why)

        self.to_avro = to_avro


class AvroCodec:
    """Encodes and decodes the given events; implements `choreo.ports.Codec`.

    Bodies of another version are resolved: its schema is searched among the given events and those of earlier
    releases, ``written``, then by fingerprint in ``folders`` (``*.avsc`` and ``history/*.avsc``).

    Raises `SchemaError` when an event has no Avro schema.

    >>> from choreo import event
    >>> @event(namespace="shop")
    ... class OrderCreated:
    ...     order_id: str
    >>> codec = AvroCodec([OrderCreated])
    >>> body = codec.encode(OrderCreated("o-1"))
    >>> body[:2].hex(), body[10:]
    ('c301', b'\\x06o-1')
    >>> codec.decode("shop.OrderCreated", body)
    OrderCreated(order_id='o-1')
    """

    def __init__(
        self, events: Iterable[type], folders: Sequence[Path] = (), *, written: Iterable[type] = ()
    ) -> None:
        self._by_class = {cls: _Type(cls) for cls in events}
        self._by_name: dict[str, _Type] = {}
        for cls, kind in self._by_class.items():
            if self._by_name.setdefault(kind.name, kind) is not kind:
                raise SchemaError(
                    f"two events are both called {kind.name}", hint=f"rename {cls.__qualname__}"
                )
        earlier = (parse_schema(derive(cls).schema) for cls in written if cls not in self._by_class)
        known = (*earlier, *(kind.parsed for kind in self._by_class.values()))
        self._own = {parsed.fingerprint: parsed for parsed in known}
        self._folders = SchemaFolders(folders)
        self._writers: dict[tuple[str, bytes], tuple[Any, Convert]] = {}
        self.ambiguous = [str(why) for kind in self._by_class.values() for why in self._set_aside(kind)]
        """Why bodies of some of the events can neither be written nor read: see `_set_aside`."""

    def schemas(self) -> dict[str, SchemaEntry]:
        """Return the schema with which each event is written, by the event's full name."""
        return {
            name: SchemaEntry(kind.schema, kind.parsed.fingerprint) for name, kind in self._by_name.items()
        }

    def encode(self, event: object) -> bytes:
        """Encode an event.

        Raises `BodyError`, naming the field but never its value, when a value doesn't fit, and when
        the event's class isn't one of the codec's, or is ambiguous.
        """
        kind = self._by_class.get(type(event))
        if kind is None:
            raise BodyError(f"{type(event).__name__} is not an event of this codec")
        body = BytesIO()
        body.write(kind.header)
        try:
            schemaless_writer(body, kind.bare, kind.to_avro(event))
        except Mismatch as mismatch:
            raise BodyError(f"{kind.name}.{mismatch}") from None
        except UnicodeEncodeError:
            raise BodyError(f"{kind.name}: a str holds half of a surrogate pair, which is no text") from None
        except Exception as error:
            raise BodyError(f"{kind.name}: can't be encoded: {type(error).__name__}") from None
        return body.getvalue()

    def answer(
        self, answer: SchemaEntry, bodies: Sequence[bytes], known: Iterable[SchemaEntry], reason: str
    ) -> bytes:
        """Build an event by its schema, from bodies that one of the ``known`` schemas, or a file, describes.

        Raises `BodyError` where that can't be done.
        """
        if answer.schema is None:
            raise BodyError("the schema of the answer was not kept")
        writers = {each.fingerprint: each.schema for each in known if each.schema is not None}
        sources = [(self._written_by(body, writers), body) for body in bodies]
        return answer_body(parse_schema(answer.schema), sources, reason)

    def _written_by(self, body: bytes, known: Mapping[str, Any]) -> ParsedSchema:
        """Return the schema of a body's writer. Raises `BodyError` where it is not known."""
        fingerprint = body[2:HEADER_BYTES].hex()
        if fingerprint in known:
            return parse_schema(known[fingerprint])
        found = self._own.get(fingerprint) or next(iter(self._folders.find(fingerprint)), None)
        if body[:2] != MARKER or found is None:
            raise BodyError("no schema of a body is known from which the answer is built")
        return found

    def decode(self, type_name: str, body: bytes | None) -> object:
        """Decode a body into the event class of that name.

        Raises `UnknownFingerprint` when the writer's schema isn't known (yet), and `BodyError` when
        there is no body, no such event, or the body doesn't conform to its schema. The message contains no
        data of the body.
        """
        kind = self._by_name.get(type_name)
        if kind is None:
            raise BodyError(f"{type_name} is not an event of this codec")
        if body is None or len(body) < HEADER_BYTES:
            raise BodyError(
                f"{type_name}: no body" if body is None else f"{type_name}: the body is too short"
            )
        header = body[:HEADER_BYTES]
        if header == kind.header:
            bare, read = kind.bare, kind.read
        else:
            bare, read = self._writer(kind, header)
        stream = BytesIO(body)
        stream.seek(HEADER_BYTES)
        try:
            values = schemaless_reader(stream, bare, None, return_named_type=True)
            if stream.tell() == len(body):
                return read(values)
        except Mismatch as mismatch:
            raise BodyError(
                f"{type_name}.{mismatch}" if mismatch.path else f"{type_name}: {mismatch}"
            ) from None
        except Exception as error:
            raise BodyError(f"{type_name}: the body can't be read: {type(error).__name__}") from None
        raise BodyError(f"{type_name}: bytes are left over after the record")

    def _writer(self, kind: _Type, header: bytes) -> tuple[Any, Convert]:
        """Return the schema of a body's writer, and the function that converts its values to an event."""
        known = self._writers.get((kind.name, header))
        if known is not None:
            return known
        if header[:2] != MARKER:
            raise BodyError(f"{kind.name}: the body is not in Avro's single-object encoding")
        fingerprint = header[2:].hex()
        writer = self._known(kind, fingerprint)
        if writer is None:
            raise UnknownFingerprint(
                f"{kind.name}: no schema has the fingerprint {fingerprint}",
                hint=f"the writer may be newer: its file belongs into schemas/history/{fingerprint}.avsc",
            )
        made = self._writers[kind.name, header] = (writer.bare, _reading(writer, kind))
        return made

    def _known(self, kind: _Type, fingerprint: str) -> ParsedSchema | None:
        own = self._own.get(fingerprint)
        writers = [own, *self._folders.like(own)] if own else self._folders.find(fingerprint)
        for other in writers[1:]:
            for change in logical_changes(other, writers[0]):
                raise BodyError(f"{kind.name}.{change}: {_ALIKE.format(fingerprint)}")
        return writers[0] if writers else None

    def _set_aside(self, kind: _Type) -> Iterator[str]:
        """Refuse the bodies of an event of which a file has another version with the same fingerprint.

        The two differ in logical types alone, and nothing in a body tells which of them it is.
        """
        for other in self._folders.like(kind.parsed):
            for change in logical_changes(other, kind.parsed):
                why = f"{change}: {_ALIKE.format(kind.parsed.fingerprint)}"
                kind.refuse(why)
                yield f"{kind.name}.{why}"


def _reading(writer: ParsedSchema, kind: _Type) -> Convert:
    convert, read = resolve(writer, kind.parsed).convert, kind.read
    return read if convert is None else lambda values: read(convert(values))
