"""Resolution: reading values with a schema other than the writer's.

Source: Apache Avro 1.12 specification, "Schema Resolution". It is stricter in two places: a changed logical
type is refused (a long of milliseconds must not be read as microseconds), and a promotion that only some
values survive is reported, and refused for the others: bytes need not be UTF-8, and a float has fewer digits
than a long.

fastavro reads with the writer's schema, and the value is converted here. Its own resolution skips fields that
the reader lacks without detecting a truncated body, and fails on a union that refers to a type by name.

Two versions can live on one topic where each reads the other: the topic keeps old events, so the new
version must read what the old one wrote; and participants are deployed one at a time, so the old version
must read what the new one writes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from choreo.avro.schema import ParsedSchema
from choreo.avro.types import Convert, Mismatch, Schema


def _exact_float(value: int) -> float:
    converted = float(value)
    if converted != value:
        raise Mismatch("an int that no float holds exactly")
    return converted


_PROMOTIONS: dict[tuple[str, str], Convert | None] = {
    ("int", "long"): None,
    ("int", "float"): _exact_float,
    ("int", "double"): float,
    ("long", "float"): _exact_float,
    ("long", "double"): _exact_float,
    ("float", "double"): None,
    ("string", "bytes"): str.encode,
    ("bytes", "string"): bytes.decode,
}
_INEXACT = {("int", "float"), ("long", "float"), ("long", "double")}
"""The promotions that change a large number; the reader refuses such a number."""

_PRIMITIVES = {"null", "boolean", "int", "long", "float", "double", "bytes", "string"}
_NAMED = {"record", "error", "enum", "fixed"}
_CLASSES: dict[str, type] = {
    "null": type(None),
    "boolean": bool,
    "int": int,
    "long": int,
    "float": float,
    "double": float,
    "bytes": bytes,
    "string": str,
    "array": list,
    "map": dict,
}


class Problem(NamedTuple):
    """One place where a reader can't read the values of a writer.

    ``lossy`` names the promotion where only some values are refused.
    """

    path: str
    reason: str
    lossy: str = ""

    def __str__(self) -> str:
        return f"{self.path}: {self.reason}" if self.path else self.reason


class Resolution(NamedTuple):
    """The conversion of a writer's values for a reader (None: unchanged), and the problems.

    ``inexact`` are the promotions that the specification allows but large numbers don't survive.
    """

    convert: Convert | None
    problems: list[Problem]
    inexact: list[Problem]


def resolve(writer: ParsedSchema, reader: ParsedSchema) -> Resolution:
    """Resolve one version against another.

    ``convert`` takes a value that fastavro decoded with the writer's schema. Fields that the writer lacks
    remain absent, and the class's own default applies. It raises `Mismatch` only for a value that has a
    problem, so that one additional symbol doesn't make all others unreadable.

    >>> from choreo.avro.schema import parse_schema
    >>> old = parse_schema({"type": "record", "name": "A", "fields": [{"name": "n", "type": "long"}]})
    >>> new = parse_schema({"type": "record", "name": "A", "fields": [{"name": "n", "type": "string"}]})
    >>> [str(problem) for problem in resolve(old, new).problems]
    ['n: a long was written, a string is read']
    """
    rules = _Rules(writer.names, reader.names)
    return Resolution(rules.resolve(writer.schema, reader.schema, ""), rules.problems, rules.inexact)


class _Rules:
    def __init__(self, writers: dict[str, Schema], readers: dict[str, Schema]) -> None:
        self._writers = writers
        self._readers = readers
        self._records: dict[tuple[str, str], Convert] = {}
        self.problems: list[Problem] = []
        self.inexact: list[Problem] = []

    def resolve(self, writer: Schema, reader: Schema, path: str) -> Convert | None:
        writer, reader = self._writer(writer), self._reader(reader)
        if isinstance(writer, list):
            return self._from_union(writer, reader, path)
        if isinstance(reader, list):
            return self._into_union(writer, reader, path)
        why = _mismatch(writer, reader)
        if why:
            return self._refuse(path, why)
        kind = _kind(writer)
        if kind in _PRIMITIVES:
            return self._primitive(kind, _kind(reader), path)
        by_kind: dict[str, Callable[[Any, Any, str], Convert | None]] = {
            "enum": self._enum,
            "array": self._array,
            "map": self._map,
            "fixed": self._fixed,
        }
        return by_kind.get(kind, self._record)(writer, reader, path)

    def _writer(self, schema: Schema) -> Schema:
        return self._writers.get(schema, schema) if isinstance(schema, str) else schema

    def _reader(self, schema: Schema) -> Schema:
        return self._readers.get(schema, schema) if isinstance(schema, str) else schema

    def _refuse(self, path: str, reason: str) -> Convert:
        self.problems.append(Problem(path, reason))

        def refuse(_: Any) -> Any:
            raise Mismatch(reason, path)

        return refuse

    def _primitive(self, written: str, read: str, path: str) -> Convert | None:
        if (written, read) == ("bytes", "string"):
            self.problems.append(
                Problem(path, "bytes were written, which need not be UTF-8", "bytes are read as a string")
            )
        if (written, read) in _INEXACT:
            lossy = f"{_article(written)} is read as a {read}"
            self.inexact.append(Problem(path, f"no {read} holds every {written}", lossy))
        return _PROMOTIONS.get((written, read))

    def _fixed(self, writer: Schema, reader: Schema, path: str) -> Convert | None:
        if writer["size"] == reader["size"]:
            return None
        return self._refuse(
            path, f"a fixed of {writer['size']} bytes was written, one of {reader['size']} is read"
        )

    def _enum(self, writer: Schema, reader: Schema, path: str) -> Convert | None:
        known, default = frozenset(reader["symbols"]), reader.get("default")
        unknown = [symbol for symbol in writer["symbols"] if symbol not in known]
        if not unknown:
            return None
        if default is not None:
            return lambda symbol: symbol if symbol in known else default
        reason = f"the enum's reader doesn't know {', '.join(unknown)} and has no default"
        refuse = self._refuse(path, reason)
        return lambda symbol: symbol if symbol in known else refuse(symbol)

    def _array(self, writer: Schema, reader: Schema, path: str) -> Convert | None:
        item = self.resolve(writer["items"], reader["items"], f"{path}[]")
        return None if item is None else lambda values: [item(value) for value in values]

    def _map(self, writer: Schema, reader: Schema, path: str) -> Convert | None:
        inner = self.resolve(writer["values"], reader["values"], f"{path}{{}}")
        return None if inner is None else lambda values: {key: inner(v) for key, v in values.items()}

    def _record(self, writer: Schema, reader: Schema, path: str) -> Convert | None:
        pair = (writer["name"], reader["name"])
        if pair in self._records:
            # Resolved before, or being resolved by a caller (a type that contains itself).
            return lambda value: self._records[pair](value)
        self._records[pair] = _unready
        made = self._records[pair] = self._fields(writer, reader, path)
        return made

    def _fields(self, writer: Schema, reader: Schema, path: str) -> Convert:
        sources = {field["name"]: field for field in writer["fields"]}
        moves: list[tuple[str, str, Convert | None]] = []
        for field in reader["fields"]:
            inner = _under(path, field["name"])
            names = [field["name"], *field.get("aliases", [])]
            source = next((sources[name] for name in names if name in sources), None)
            if source is not None:
                moves.append(
                    (source["name"], field["name"], self.resolve(source["type"], field["type"], inner))
                )
            elif "default" not in field:
                moves.append(("", field["name"], self._refuse(inner, "not written, and has no default")))
        return _mover(moves)

    def _from_union(self, writer: list[Schema], reader: Schema, path: str) -> Convert:
        by_name: dict[str, Convert | None] = {}
        by_class: dict[type, Convert | None] = {}
        for branch in map(self._writer, writer):
            convert = self.resolve(branch, reader, path)
            if _kind(branch) in _NAMED:
                by_name[branch["name"]] = convert
            else:
                by_class[_CLASSES[_kind(branch)]] = convert

        def from_union(value: Any) -> Any:
            if type(value) is tuple:
                convert, value = by_name[value[0]], value[1]
            else:
                convert = by_class[type(value)]
            return value if convert is None else convert(value)

        return from_union

    def _into_union(self, writer: Schema, reader: list[Schema], path: str) -> Convert | None:
        matching = [b for b in map(self._reader, reader) if not _mismatch(writer, b)]
        # The same type precedes one that it can be promoted to: bytes are read as bytes where possible.
        branch = next((b for b in matching if _kind(b) == _kind(writer)), next(iter(matching), None))
        if branch is None:
            return self._refuse(path, self._unmatched(writer, reader))
        convert = self.resolve(writer, branch, path)
        if _kind(branch) not in _NAMED:
            return convert
        name = branch["name"]
        return lambda value: (name, value if convert is None else convert(value))

    def _unmatched(self, writer: Schema, reader: list[Schema]) -> str:
        """Return why no branch of a reader's union can take what was written."""
        alike = [b for b in map(self._reader, reader) if _title(b) == _title(writer)]
        if alike:
            return _mismatch(writer, alike[0])
        names = ", ".join(_title(self._reader(b)) for b in reader)
        return f"{_article(writer)} was written, only {names} can be read"


def _unready(_: Any) -> Any:
    raise AssertionError("a record was converted before it was resolved")


def _mover(moves: list[tuple[str, str, Convert | None]]) -> Convert:
    def move(values: dict[str, Any]) -> dict[str, Any]:
        return {
            target: values[source] if convert is None else convert(values.get(source))
            for source, target, convert in moves
        }

    return move


def _under(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _mismatch(writer: Schema, reader: Schema) -> str:
    """Return why two schemas, neither a union, don't match at the top level, empty where they do."""
    written, read = _kind(writer), _kind(reader)
    if written != read and (written, read) not in _PROMOTIONS:
        return f"{_article(writer)} was written, {_article(reader)} is read"
    if written in _NAMED and not _same_name(writer, reader):
        return f"{writer['name']} was written, {reader['name']} is read"
    if _logical(writer) != _logical(reader):
        return f"the logical type was {_logical_title(writer)}, now it is {_logical_title(reader)}"
    return ""


def _same_name(writer: Schema, reader: Schema) -> bool:
    if writer["name"] in reader.get("aliases", []):
        return True
    return bool(writer["name"].rpartition(".")[2] == reader["name"].rpartition(".")[2])


def _kind(schema: Schema) -> str:
    return str(schema["type"]) if isinstance(schema, dict) else str(schema)


def _logical(schema: Schema) -> tuple[Any, ...]:
    if not isinstance(schema, dict) or "logicalType" not in schema:
        return ()
    if schema["logicalType"] != "decimal":
        return (schema["logicalType"],)
    return ("decimal", schema.get("precision"), schema.get("scale", 0))


def _logical_title(schema: Schema) -> str:
    parts = _logical(schema)
    return f"{parts[0]}({parts[1]}, {parts[2]})" if len(parts) == 3 else str(parts[0]) if parts else "none"


def _title(schema: Schema) -> str:
    return str(schema["name"]) if _kind(schema) in _NAMED else _kind(schema)


def _article(schema: Schema) -> str:
    title = _title(schema)
    if title == "null" or _kind(schema) in _NAMED:
        return title
    return f"an {title}" if title[0] in "aeiou" else f"a {title}"


def unreadable(writer: ParsedSchema, reader: ParsedSchema) -> list[Problem]:
    """Return the problems of a reader with a writer's records, empty where it reads them all."""
    return resolve(writer, reader).problems


def logical_changes(one: ParsedSchema, other: ParsedSchema) -> list[Problem]:
    """Return where two versions with one fingerprint differ in logical types.

    The fingerprint is that of the parsing canonical form, which has no logical types: bodies of the two can't
    be told apart.
    """
    if one.fingerprint != other.fingerprint or one.schema == other.schema:
        return []
    return unreadable(one, other)


def incompatibilities(old: ParsedSchema, new: ParsedSchema) -> list[str]:
    """Return why two versions can't share a topic, in both directions, with the path of each field.

    >>> from choreo.avro.schema import parse_schema
    >>> old = parse_schema({"type": "record", "name": "A", "fields": []})
    >>> new = parse_schema({"type": "record", "name": "A", "fields": [{"name": "n", "type": "long"}]})
    >>> incompatibilities(old, new)
    ["the new version can't read the old one: n: not written, and has no default"]
    """
    forwards = [f"the new version can't read the old one: {p}" for p in _refusals(old, new)]
    return forwards + [f"the old version can't read the new one: {p}" for p in _refusals(new, old)]


def _refusals(writer: ParsedSchema, reader: ParsedSchema) -> list[Problem]:
    """Return every place where some value that the writer admits is refused by the reader."""
    resolution = resolve(writer, reader)
    return resolution.problems + resolution.inexact
