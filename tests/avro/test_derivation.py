"""Schemas derived from classes, and what is refused, with a hint."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import InitVar, dataclass, field
from datetime import timedelta
from decimal import Decimal
from enum import Enum, IntFlag
from pathlib import Path
from typing import Annotated, Any, Literal, NewType
from uuid import UUID, uuid4

import pytest

from choreo import DecimalOf
from choreo.avro import AvroCodec, parse_schema, schema_of
from choreo.errors import DeclarationError, SchemaError
from choreo.events import event
from tests.avro.shop import Card, Item, Rich

OrderId = NewType("OrderId", str)


@dataclass(frozen=True)
class Nothing:
    pass


@dataclass(frozen=True)
class Tree:
    children: list[Tree]


@event(namespace="")
class Homeless:
    x: int


@event(namespace="bank")
class Account:
    iban: str


@dataclass
class Fancy:
    prix_été: int


@dataclass
class Été:
    x: int


@event(namespace="mall", name="Item")
class Elsewhere:
    x: int


# What `type Maybe = str | None` makes from Python 3.12 on.
Maybe = type("TypeAliasType", (), {"__value__": str | None, "__or__": None, "__call__": None})()


class Rights(IntFlag):
    READ = 1


class Accents(Enum):
    É = 1


class Other:
    """Holds another class called Item."""

    @dataclass(frozen=True)
    class Item:
        """Not the shop's."""

        x: int


@dataclass
class Needy:
    x: int
    y: InitVar[int]


@dataclass
class Late:
    x: int = field(init=False)


def event_with(annotation: Any, **default: Any) -> type:
    """Make an event of one field, x, of the given type."""
    return event(namespace="shop")(type("One", (), {"__annotations__": {"x": annotation}, **default}))


def field_of(annotation: Any, **default: Any) -> dict[str, Any]:
    return schema_of(event_with(annotation, **default))["fields"][0]


def test_a_rich_event_has_this_schema() -> None:
    """The golden file; a difference changes what is on the wire."""
    golden = json.loads((Path(__file__).parent / "rich.avsc").read_text())

    assert schema_of(Rich) == golden


def test_the_derived_schema_parses() -> None:
    """As one definition with every name defined once."""
    assert set(parse_schema(schema_of(Rich)).names) == {
        "shop.Rich", "shop.Colour", "shop.Item", "shop.Card", "shop.Cash", "shop.Speed"
    }  # fmt: skip


@pytest.mark.parametrize(
    ("annotation", "default", "expected"),
    [
        (str | None, {}, {"type": ["null", "string"]}),
        (str | None, {"x": None}, {"type": ["null", "string"], "default": None}),
        (str | None, {"x": "a"}, {"type": ["string", "null"], "default": "a"}),
        (int, {"x": 0}, {"type": "long", "default": 0}),
        (float, {"x": 1}, {"type": "double", "default": 1.0}),
        (float | int, {}, {"type": ["long", "double"]}),
        (float | int, {"x": 0.5}, {"type": ["long", "double"], "default": 0.5}),
        (bool, {"x": False}, {"type": "boolean", "default": False}),
        (Annotated[str, "the doc"], {}, {"type": "string", "doc": "the doc"}),
        (OrderId, {}, {"type": "string"}),
        (
            list[int],
            {"x": field(default_factory=list)},
            {"type": {"type": "array", "items": "long"}, "default": []},
        ),
        (str, {"x": field(default_factory=lambda: "new each time")}, {"type": "string"}),
        (UUID, {"x": field(default_factory=uuid4)}, {"type": {"type": "string", "logicalType": "uuid"}}),
    ],
)
def test_a_field_has_this_schema(annotation: Any, default: dict[str, Any], expected: dict[str, Any]) -> None:
    """Optionals, defaults, docs, aliases."""
    assert field_of(annotation, **default) == {"name": "x", **expected}


def test_a_decimal_default_is_written_as_its_bytes() -> None:
    """Two's complement, each byte a character, as Avro wants it."""
    assert field_of(Annotated[Decimal, DecimalOf(4, 2)], x=Decimal("-0.01"))["default"] == "\xff"


def test_a_nested_event_keeps_its_own_namespace() -> None:
    """A plain dataclass takes that of the event around it."""
    assert field_of(Account)["type"]["namespace"] == "bank"
    assert field_of(Item)["type"]["namespace"] == "shop"


def test_a_member_called_unknown_is_the_enum_s_default() -> None:
    """Then a reader that doesn't know a new symbol still reads the event."""
    speed = next(f for f in schema_of(Rich)["fields"] if f["name"] == "speed")

    assert speed["type"]["default"] == "UNKNOWN"


@pytest.mark.parametrize(
    ("annotation", "message", "hint"),
    [
        (Decimal, r"shop.One.x: Avro has no Decimal", "DecimalOf(precision=12, scale=2)"),
        (timedelta, "shop.One.x: Avro has no timedelta", "within_seconds"),
        (set[str], "shop.One.x: Avro has no set[str]", "use list"),
        (list, "shop.One.x: Avro has no list", "list[str]"),
        (dict[int, str], "shop.One.x: Avro has no dict[int, str]", "keys are str"),
        (tuple[int, str], "shop.One.x: Avro has no tuple[int, str]", "tuple[str, ...]"),
        (Any, "shop.One.x: Avro has no", "say what it is"),
        (object, "shop.One.x: Avro has no object", "say what it is"),
        (complex, "shop.One.x: Avro has no complex", "use one of str"),
        (Literal["a", "b"], "shop.One.x: Avro has no", "use an Enum"),
        (Callable[[], int], "shop.One.x: Avro has no", "use one of str"),
        (Rights, "shop.One.x: Avro has no Rights", "use one of str"),
        (Accents, "shop.One.x: Accents can't be an Avro enum", "'É' is not an Avro name"),
        (list[Nothing], "shop.One.x: items of type Nothing take no bytes", "give the class a field"),
        (Tree, "shop.Tree.children[]: Tree contains itself", "parent's id"),
        (Homeless, "shop.One.x: Homeless has no namespace", "namespace"),
        (Item | Other.Item, "shop.One.x: two classes are both shop.Item", "rename"),
        (str | UUID, "shop.One.x: a reader can't tell str and UUID apart", "wrap one"),
        (str | bytes, "shop.One.x: a reader can't tell str and bytes apart", "wrap one"),
        (list[int] | list[str], "shop.One.x: a reader can't tell list and list apart", "wrap one"),
        (list[Decimal], "shop.One.x[]: Avro has no Decimal", "DecimalOf"),
        (Needy, "shop.Needy: __init__ takes 'y'", "its fields alone"),
        (Late, "shop.Late.x: a field with init=False", "property"),
        (Fancy, "shop.Fancy.prix_été: not an Avro name", "ASCII"),
        (Été, "shop.One.x: 'Été' is not an Avro name", "ASCII"),
        (Item | Elsewhere, "shop.One.x: a reader can't tell Item and Elsewhere apart", "wrap one"),
        ("Missing", "shop.One: an annotation can't be read", "top of the module"),
    ],
)
def test_a_type_that_avro_has_no_place_for_is_refused(annotation: Any, message: str, hint: str) -> None:
    """The error names the class, the field and the type, and says what to do."""
    with pytest.raises(SchemaError) as caught:
        schema_of(event_with(annotation))

    assert message in caught.value.message
    assert hint in caught.value.hint


@pytest.mark.parametrize(
    ("annotation", "default"),
    [(int, "a"), (int, None), (float, float("nan")), (list[int | str], ["a", 1])],
)
def test_a_default_that_does_not_fit_is_refused(annotation: Any, default: Any) -> None:
    """Where the class is declared, not when an old event is read."""
    wanted = field(default_factory=list) if isinstance(default, list) else default
    if isinstance(default, list):
        assert field_of(annotation, x=wanted)["default"] == []
        return
    with pytest.raises(SchemaError, match=r"shop\.One\.x: the default doesn't fit"):
        field_of(annotation, x=default)


def test_a_union_inside_of_a_default_takes_its_first_branch() -> None:
    """As Avro wants it; another can't be written."""

    @dataclass(frozen=True)
    class Box:
        value: str | int

    Box.__annotations__["value"] = str | int
    assert field_of(Box, x=Box("a"))["default"] == {"value": "a"}
    with pytest.raises(SchemaError, match="takes its first branch, string"):
        field_of(Box, x=Box(1))


def test_a_class_that_is_no_event_is_refused() -> None:
    """Only events have bodies."""
    with pytest.raises(DeclarationError, match="Card is not an event"):
        schema_of(Card)


def test_a_class_that_sets_itself_up_is_made_by_its_own_init() -> None:
    """Decoding takes no short cut around it."""

    @event(namespace="shop")
    class Loud:
        x: int

        def __init__(self, x: int) -> None:
            object.__setattr__(self, "x", x)
            object.__setattr__(self, "seen", True)

    codec = AvroCodec([Loud])
    loud = codec.decode("shop.Loud", codec.encode(Loud(1)))

    assert loud.seen  # type: ignore[attr-defined]
