"""Derivation: the Avro schema of an event class, and the conversions that agree with it.

| Python                        | Avro                                                          |
|-------------------------------|---------------------------------------------------------------|
| str, int, float, bool, bytes  | string, long, double, boolean, bytes                          |
| date, datetime, time          | date, timestamp-micros (UTC), time-micros                     |
| UUID                          | string, logical type uuid                                     |
| Annotated[Decimal, DecimalOf] | bytes, logical type decimal                                   |
| Enum                          | enum of the members' names; UNKNOWN, if there, is the default |
| dataclass                     | record, in the namespace of the event around it               |
| list[X], tuple[X, ...]        | array                                                         |
| dict[str, X]                  | map                                                           |
| X | None, A | B               | union; null is the first branch unless the default is another |

A string in ``Annotated[X, "..."]`` is the field's doc; ``field(metadata={"aliases": ["old_name"]})`` has the
names that a field had before, so that older bodies are read. A class that contains itself is refused: the
nesting of its bodies has no bound, and can overflow the decoder's stack.
"""

from __future__ import annotations

import dataclasses
import inspect
import re
from decimal import Decimal
from enum import Enum, Flag
from typing import Any, get_args, get_origin

from choreo.annotations import MAX_LAYERS, members, written_out
from choreo.avro.annotations import field_types, spell, unsupported
from choreo.avro.complex_types import (
    NULL,
    enum_of,
    in_order,
    list_of,
    map_of,
    record_of,
    refuse_ambiguous,
    tuple_of,
    union_of,
)
from choreo.avro.defaults import NO_DEFAULT, default_of, json_default
from choreo.avro.types import SCALARS, AvroType, Schema, decimal_of
from choreo.errors import SchemaError
from choreo.events import DecimalOf, event_type, is_event

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def derive(cls: type) -> AvroType:
    """Return the Avro type of an event class: its schema and the conversions of its instances.

    Raises `SchemaError` with the class, the field and the type that Avro lacks, and `DeclarationError`
    where the class isn't an event.
    """
    event = event_type(cls)
    avro_type = _Derivation(event.namespace).record(cls)
    return dataclasses.replace(avro_type, schema=_define_once(avro_type.schema, set()))


def schema_of(cls: type) -> dict[str, Any]:
    """Return the Avro schema of an event class, as JSON.

    >>> from choreo import event
    >>> @event(namespace="shop")
    ... class OrderCreated:
    ...     order_id: str
    ...     note: str | None = None
    >>> schema_of(OrderCreated)["fields"][1]
    {'name': 'note', 'type': ['null', 'string'], 'default': None}
    """
    schema: dict[str, Any] = derive(cls).schema
    return schema


def _define_once(schema: Schema, defined: set[str]) -> Schema:
    """Return the schema with each named type defined once, and referred to by name elsewhere."""
    if isinstance(schema, list):
        return [_define_once(branch, defined) for branch in schema]
    if not isinstance(schema, dict):
        return schema
    if "name" in schema:
        full_name = _join(schema.get("namespace", ""), schema["name"])
        if full_name in defined:
            return full_name
        defined.add(full_name)
    copy = dict(schema)
    for part in ("items", "values"):
        if part in copy:
            copy[part] = _define_once(copy[part], defined)
    if "fields" in copy:
        copy["fields"] = [{**f, "type": _define_once(f["type"], defined)} for f in copy["fields"]]
    return copy


def _join(namespace: str, name: str) -> str:
    return f"{namespace}.{name}" if namespace else name


class _Derivation:
    """The derivation of one event, with the named types found so far."""

    def __init__(self, namespace: str) -> None:
        self._namespace = namespace
        self._types: dict[type, AvroType | None] = {}
        self._owners: dict[str, type] = {}

    def record(self, cls: type, place: str = "") -> AvroType:
        """Return the record of a dataclass. Raises `SchemaError`."""
        if cls in self._types:
            return self._known(cls, place)
        namespace, name, doc = self._naming(cls, place)
        full_name = self._claim(cls, namespace, name, place)
        self._types[cls] = None
        types_of = field_types(cls, full_name)
        _refuse_unwritable(cls, full_name)
        _refuse_bad_aliases(cls, full_name)
        avro_types, fields = {}, []
        for field in dataclasses.fields(cls):
            avro_type, entry = self._field(field, types_of[field.name], f"{full_name}.{field.name}")
            avro_types[field.name] = avro_type
            fields.append(entry)
        schema = _named("record", namespace, name, doc) | {"fields": fields}
        made = self._types[cls] = record_of(cls, schema, full_name, avro_types)
        return made

    def _known(self, cls: type, place: str) -> AvroType:
        avro_type = self._types[cls]
        if avro_type is None:
            raise SchemaError(
                f"{place}: {cls.__qualname__} contains itself",
                hint="a body could then nest without end: keep a flat list, each item with its parent's id",
            )
        return avro_type

    def _naming(self, cls: type, place: str) -> tuple[str, str, str]:
        """Return a class's namespace, name and doc."""
        if not is_event(cls):
            return self._namespace, cls.__name__, _doc(cls)
        event = event_type(cls)
        if self._namespace and not event.namespace:
            raise SchemaError(
                f"{place}: {event.name} has no namespace inside of one that has",
                hint=f'@event(namespace="{self._namespace}")',
            )
        return event.namespace, event.name.rpartition(".")[2], inspect.cleandoc(event.doc)

    def _claim(self, cls: type, namespace: str, name: str, place: str) -> str:
        full_name = _join(namespace, name)
        owner = self._owners.setdefault(full_name, cls)
        if owner is not cls:
            raise SchemaError(
                f"{place}: two classes are both {full_name}: {_where(owner)} and {_where(cls)}",
                hint="rename one of them",
            )
        if not _NAME.fullmatch(name):
            raise SchemaError(f"{place}: {name!r} is not an Avro name", hint="use ASCII letters and digits")
        return full_name

    def _field(
        self, field: dataclasses.Field[Any], annotation: Any, place: str
    ) -> tuple[AvroType, dict[str, Any]]:
        if not _NAME.fullmatch(field.name):
            raise SchemaError(f"{place}: not an Avro name", hint="use ASCII letters, digits and underscores")
        default = default_of(field)
        avro_type = self.type_of(annotation, place, default)
        entry: dict[str, Any] = {"name": field.name, "type": avro_type.schema}
        doc = next((part for part in written_out(annotation)[1] if isinstance(part, str)), "")
        if doc:
            entry["doc"] = doc
        if default is not NO_DEFAULT:
            entry["default"] = json_default(avro_type, default, place)
        if field.metadata.get("aliases"):
            entry["aliases"] = list(field.metadata["aliases"])
        return avro_type, entry

    def type_of(self, annotation: Any, place: str, default: Any = NO_DEFAULT) -> AvroType:
        """Return the Avro type of an annotation; ``default`` decides the order of a union's branches."""
        try:
            branches = members(annotation)
        except (TypeError, NameError, AttributeError) as error:
            raise SchemaError(
                f"{place}: the annotation can't be read: {error}", hint="write out what it stands for"
            ) from None
        avro_types: list[AvroType] = []
        for member, metadata in branches:
            made = self._single(member, metadata, place)
            # A type that is there twice, once with a doc, is one branch.
            if not any(made.python == each.python and made.schema == each.schema for each in avro_types):
                avro_types.append(made)
        if len(avro_types) == 1:
            return avro_types[0]
        refuse_ambiguous(avro_types, place)
        return union_of(in_order(avro_types, default))

    def _single(self, annotation: Any, metadata: tuple[Any, ...], place: str) -> AvroType:
        if annotation is Decimal:
            return self._decimal(metadata, place)
        if annotation is type(None):
            return NULL
        if isinstance(annotation, type) and annotation in SCALARS:
            return SCALARS[annotation]
        if isinstance(annotation, type) and get_origin(annotation) is None:
            return self._class(annotation, place)
        return self._generic(annotation, place)

    def _decimal(self, metadata: tuple[Any, ...], place: str) -> AvroType:
        digits = list(dict.fromkeys(part for part in metadata if isinstance(part, DecimalOf)))
        if not digits:
            raise unsupported(Decimal, place)
        if len(digits) > 1:
            raise SchemaError(f"{place}: {digits[0]} and {digits[1]}", hint="give a Decimal one DecimalOf")
        return decimal_of(digits[0])

    def _class(self, cls: type, place: str) -> AvroType:
        if dataclasses.is_dataclass(cls):
            return self.record(cls, place)
        if issubclass(cls, Enum) and not issubclass(cls, Flag):
            return self._enum(cls, place)
        raise unsupported(cls, place)

    def _enum(self, cls: type[Enum], place: str) -> AvroType:
        found = self._types.get(cls)
        if found is not None:
            return found
        full_name = self._claim(cls, self._namespace, cls.__name__, place)
        names = [member.name for member in cls]
        bad = [name for name in names if not _NAME.fullmatch(name)]
        if bad or not names:
            raise SchemaError(
                f"{place}: {cls.__qualname__} can't be an Avro enum",
                hint=f"{bad[0]!r} is not an Avro name" if bad else "it has no member",
            )
        schema = _named("enum", self._namespace, cls.__name__, _doc(cls))
        made = self._types[cls] = enum_of(cls, schema, full_name)
        return made

    def _generic(self, annotation: Any, place: str) -> AvroType:
        origin, args = get_origin(annotation), get_args(annotation)
        if place.count("[]") + place.count("{}") > MAX_LAYERS:
            raise SchemaError(f"{place[:100]}…: nested too deeply", hint="does an alias contain itself?")
        if origin is list:
            return list_of(self._item(args[0], place))
        if origin is tuple and len(args) == 2 and args[1] is Ellipsis:
            return tuple_of(self._item(args[0], place))
        if origin is dict and members(args[0]) == [(str, ())]:
            return map_of(self.type_of(args[1], f"{place}{{}}"))
        raise unsupported(annotation, place)

    def _item(self, annotation: Any, place: str) -> AvroType:
        avro_type = self.type_of(annotation, f"{place}[]")
        if _is_empty(avro_type.schema):
            raise SchemaError(
                f"{place}: items of type {spell(annotation)} take no bytes",
                hint="a short body could then claim any number of them: give the class a field",
            )
        return avro_type


def _is_empty(schema: Schema) -> bool:
    if isinstance(schema, dict) and schema["type"] == "record":
        return all(_is_empty(field["type"]) for field in schema["fields"])
    return bool(schema == "null")


def _named(kind: str, namespace: str, name: str, doc: str) -> dict[str, Any]:
    schema = {"type": kind, "name": name}
    if namespace:
        schema["namespace"] = namespace
    if doc:
        schema["doc"] = doc
    return schema


def _doc(cls: type) -> str:
    doc = cls.__dict__.get("__doc__") or ""
    # The docs that dataclasses and older enums generate add nothing to the schema.
    generated = doc.startswith(f"{cls.__name__}(") or doc == "An enumeration."
    return "" if generated else inspect.cleandoc(doc)


def _refuse_unwritable(cls: type, full_name: str) -> None:
    """Raise `SchemaError` for a class that can't be constructed from its fields."""
    names = {field.name for field in dataclasses.fields(cls)}
    for field in dataclasses.fields(cls):
        if not field.init:
            raise SchemaError(
                f"{full_name}.{field.name}: a field with init=False can't be decoded",
                hint="make it a property",
            )
    extra = [name for name in inspect.signature(cls).parameters if name not in names]
    if extra:
        raise SchemaError(
            f"{full_name}: __init__ takes {extra[0]!r}, which is not a field",
            hint="an event is made of its fields alone",
        )


def _refuse_bad_aliases(cls: type, full_name: str) -> None:
    """Raise `SchemaError` for an alias by which a field couldn't be found, or two fields could."""
    taken = {field.name for field in dataclasses.fields(cls)}
    for field in dataclasses.fields(cls):
        aliases = field.metadata.get("aliases", ())
        if not isinstance(aliases, list | tuple):
            raise SchemaError(
                f"{full_name}.{field.name}: aliases is a list of names", hint='{"aliases": ["old_name"]}'
            )
        for alias in aliases:
            if not (isinstance(alias, str) and _NAME.fullmatch(alias)):
                raise SchemaError(
                    f"{full_name}.{field.name}: the alias {alias!r} is not an Avro name",
                    hint="use ASCII letters, digits and underscores",
                )
            if alias in taken:
                raise SchemaError(
                    f"{full_name}.{field.name}: the alias {alias!r} is a field or an alias already",
                    hint="an alias is a name that a field had before",
                )
            taken.add(alias)


def _where(cls: type) -> str:
    return f"{cls.__module__}.{cls.__qualname__}"
