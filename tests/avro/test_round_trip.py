"""Whatever a type allows comes back as it was, and nothing else is let in."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from choreo.avro import AvroCodec
from choreo.errors import BodyError
from tests.avro.shop import Card, Cash, Colour, Empty, Flat, Item, Rich, Speed

CODEC = AvroCodec([Flat, Rich, Empty])
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
LONGS = st.integers(-(2**63), 2**63 - 1)
MOMENTS = st.datetimes(timezones=st.sampled_from([UTC, timezone(timedelta(hours=-7))]))
ITEMS = st.builds(Item, TEXT, LONGS)
CASH = st.builds(Cash, st.decimals(-(10**7), 10**8 - 1, places=2, allow_nan=False))
CARDS = st.builds(Card, TEXT, st.sampled_from(Colour))
FLOATS = st.floats(allow_nan=False)

SAMPLE = Rich(
    text="ü",
    whole=-1,
    real=0.5,
    truth=True,
    binary=b"\xff",
    day=date(2024, 2, 29),
    at=datetime(2024, 1, 1, 12, tzinfo=UTC),
    clock=time(23, 59, 59, 999999),
    key=UUID(int=7),
    price=Decimal("-12.30"),
    colour=Colour.GREEN,
    item=Item("a", 2),
    items=[Item("b")],
    days=(date(1, 1, 1),),
    counts={"x": 1},
    carts={"y": [Item("c")]},
    paid=Card("4711"),
    mixed=Item("d"),
    moment=None,
)

RICH = st.builds(
    Rich,
    text=TEXT,
    whole=LONGS,
    real=FLOATS,
    truth=st.booleans(),
    binary=st.binary(max_size=8),
    day=st.dates(),
    at=MOMENTS,
    clock=st.times(),
    key=st.uuids(),
    price=st.decimals(-(10**9), 10**10 - 1, places=2, allow_nan=False),
    colour=st.sampled_from(Colour),
    item=ITEMS,
    items=st.lists(ITEMS, max_size=3),
    days=st.lists(st.dates(), max_size=3).map(tuple),
    counts=st.dictionaries(TEXT, LONGS, max_size=3),
    carts=st.dictionaries(TEXT, st.lists(ITEMS, max_size=2), max_size=2),
    paid=st.none() | CARDS | CASH,
    mixed=TEXT | LONGS | FLOATS | st.booleans() | st.lists(LONGS, max_size=2) | ITEMS,
    moment=st.none() | MOMENTS,
    speed=st.sampled_from(Speed),
    note=st.none() | TEXT,
    title=st.none() | TEXT,
    tags=st.lists(TEXT, max_size=2),
    labels=st.dictionaries(TEXT, TEXT, max_size=2),
    seal=st.binary(max_size=4),
    first=ITEMS,
)


@settings(max_examples=150, deadline=None)
@given(RICH)
def test_an_event_of_every_type_comes_back(event: Rich) -> None:
    """Equal, and of the same classes, whatever the values."""
    back = CODEC.decode("shop.Rich", CODEC.encode(event))

    assert back == event
    assert isinstance(back, Rich)
    assert type(back.mixed) is type(event.mixed)
    assert back.at.tzinfo is UTC


@settings(max_examples=50, deadline=None)
@given(st.builds(Flat, TEXT, TEXT, LONGS))
def test_a_flat_event_comes_back(event: Flat) -> None:
    """Also where nothing is converted, and encoding doesn't change the event."""
    before = dict(vars(event))

    assert CODEC.decode("shop.Flat", CODEC.encode(event)) == event
    assert vars(event) == before


def test_an_empty_event_is_its_header_alone() -> None:
    """A record without fields takes no bytes."""
    body = CODEC.encode(Empty())

    assert len(body) == 10
    assert CODEC.decode("shop.Empty", body) == Empty()


def test_a_decoded_event_is_frozen_and_hashes_like_the_first() -> None:
    """Instances made without __init__ are ordinary instances."""
    event = CODEC.decode("shop.Flat", CODEC.encode(Flat("o", "s", 1)))

    assert hash(event) == hash(Flat("o", "s", 1))
    assert repr(event) == "Flat(order_id='o', sku='s', count=1)"
    with pytest.raises(AttributeError):
        event.count = 2  # type: ignore[attr-defined]


def test_two_events_don_t_share_a_default_list() -> None:
    """A list that one event holds is never another's."""
    body = CODEC.encode(SAMPLE)
    one, other = CODEC.decode("shop.Rich", body), CODEC.decode("shop.Rich", body)

    assert one.tags is not other.tags  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("field", "value", "place"),
    [
        ("text", 1, "text: expected str, not int"),
        ("text", "\ud800", "surrogate"),
        ("whole", True, "whole: expected int, not bool"),
        ("whole", "1", "whole: expected int, not str"),
        ("whole", 1.0, "whole: expected int, not float"),
        ("whole", 2**63, "whole: an int outside of 64 bits"),
        ("whole", -(2**63) - 1, "whole: an int outside of 64 bits"),
        ("real", "1.5", "real: expected float, not str"),
        ("real", True, "real: expected float, not bool"),
        ("real", 10**400, "real: an int too large for a float"),
        ("truth", 1, "truth: expected bool, not int"),
        ("binary", "x", "binary: expected bytes, not str"),
        ("day", datetime(2024, 1, 1, tzinfo=UTC), "day: expected date, not datetime"),
        ("at", datetime(2024, 1, 1), "at: a datetime without a time zone"),
        ("at", date(2024, 1, 1), "at: expected datetime, not date"),
        ("clock", time(1, tzinfo=UTC), "clock: a time of day with a time zone"),
        ("clock", "12:00", "clock: expected time, not str"),
        ("key", "x", "key: expected UUID, not str"),
        ("price", 1, "price: expected Decimal, not int"),
        ("price", Decimal("0.001"), "price: a decimal with more than 2 digits after the point"),
        ("price", Decimal("1E-999999"), "price: a decimal with more than 2 digits after the point"),
        ("price", Decimal("10000000000"), "price: a decimal of more than 12 digits"),
        ("price", Decimal("1e999999"), "price: a decimal of more than 12 digits"),
        ("price", Decimal("NaN"), "price: a Decimal that is not a number"),
        ("colour", 1, "colour: expected Colour, not int"),
        ("item", {"sku": "a", "count": 1}, "item: expected Item, not dict"),
        ("items", (Item("a"),), "items: expected list, not tuple"),
        ("items", [Item("a"), Item(1)], "items[].sku: expected str, not int"),  # type: ignore[arg-type]
        ("days", [date(2024, 1, 1)], "days: expected tuple, not list"),
        ("counts", {1: 1}, "counts: expected str as a key, not int"),
        ("counts", {"a": None}, "counts{}: expected int, not NoneType"),
        ("counts", [], "counts: expected dict, not list"),
        ("paid", "cash", "paid: expected one of Card, Cash, not str"),
        ("paid", Card("1", 3), "paid.colour: expected Colour, not int"),  # type: ignore[arg-type]
        ("mixed", None, "mixed: expected one of"),
        ("note", 5, "note: expected one of str, not int"),
    ],
)
def test_a_value_that_does_not_fit_is_refused(field: str, value: object, place: str) -> None:
    """The error names the field and the classes, and never the value."""
    with pytest.raises(BodyError) as caught:
        CODEC.encode(replace(SAMPLE, **{field: value}))

    assert place in str(caught.value)
    assert caught.value.__cause__ is None


def test_a_secret_never_gets_into_the_message() -> None:
    """Neither of an event that can't be encoded nor of a body that can't be decoded."""
    with pytest.raises(BodyError) as encoding:
        CODEC.encode(Flat("secret", 1, "secret"))  # type: ignore[arg-type]
    with pytest.raises(BodyError) as decoding:
        CODEC.decode("shop.Flat", CODEC.encode(Flat("secret", "secret", 1)) + b"secret")

    assert "secret" not in str(encoding.value) + str(decoding.value)


def test_an_event_of_another_codec_is_refused() -> None:
    """Both ways: by its class and by its name."""
    with pytest.raises(BodyError, match="Flat is not an event of this codec"):
        AvroCodec([Rich]).encode(Flat("o", "s", 1))
    with pytest.raises(BodyError, match=r"shop\.Flat is not an event of this codec"):
        AvroCodec([Rich]).decode("shop.Flat", b"")
