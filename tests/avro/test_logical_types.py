"""An event written by hand is taken exactly where the service can read it, logical types included."""

from __future__ import annotations

import json
from datetime import date, datetime, time
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from choreo import event
from choreo.avro import AvroCodec, write_schemas
from choreo.avro.json_encoding import body_of
from choreo.errors import BodyError
from choreo.events import DecimalOf

Price = Annotated[Decimal, DecimalOf(5, 2)]


@event(namespace="bill")
class Billed:
    at: datetime
    day: date
    hour: time
    id: UUID
    price: Price
    perhaps: date | None
    days: list[date]
    hours: dict[str, time]


GOOD: dict[str, Any] = {
    "at": 0,
    "day": 19_000,
    "hour": 86_399_999_999,
    "id": "12345678-1234-5678-1234-567812345678",
    "price": "\x01",
    "perhaps": {"int": 1},
    "days": [1, 2],
    "hours": {"a": 0},
}

INTS = st.sampled_from([0, -1, 1, 86_400_000_000, -719_163, 2_932_896, 2_932_897]) | st.integers(
    -(2**31), 2**31 - 1
)
LONGS = (
    INTS
    | st.sampled_from([253_402_300_800_000_000, -62_135_596_800_000_001])
    | st.integers(-(2**63), 2**63 - 1)
)
CHANGES = st.one_of(
    st.tuples(st.just("at"), LONGS),
    st.tuples(st.just("day"), INTS),
    st.tuples(st.just("hour"), LONGS),
    st.tuples(st.just("id"), st.text(max_size=40) | st.uuids().map(str)),
    st.tuples(st.just("price"), st.binary(max_size=4).map(lambda value: value.decode("latin-1"))),
    st.tuples(st.just("perhaps"), st.none() | INTS.map(lambda value: {"int": value})),
    st.tuples(st.just("days"), st.lists(INTS, max_size=3)),
    st.tuples(st.just("hours"), st.dictionaries(st.text(max_size=2), LONGS, max_size=2)),
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the schema."""
    found = tmp_path_factory.mktemp("schemas")
    write_schemas([Billed], found)
    return found


@given(CHANGES)
def test_a_text_is_taken_where_its_body_can_be_read(folder: Path, change: tuple[str, Any]) -> None:
    """The class has the last word, and the schema alone says the same."""
    text = json.dumps(GOOD | dict([change]))
    body, refused = None, ""
    try:
        body = body_of("bill.Billed", text, folder)
    except BodyError as error:
        refused = str(error)
    assert change[0] in refused or AvroCodec([Billed]).decode("bill.Billed", body)


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("at", 2**63 - 1, "at: can't hold that value: it is no timestamp-micros"),
        ("day", 2_932_897, "day: can't hold that value: it is no date"),
        ("hour", -1, "hour: can't hold that value: it is no time-micros"),
        ("id", "1234", "id: can't hold that value: it is no uuid"),
        ("price", "\x7f\xff\xff", "price: can't hold that value: it is no decimal"),
        ("perhaps", {"int": 2_932_897}, "perhaps.int: can't hold that value: it is no date"),
        ("days", [1, 2_932_897], "days[1]: can't hold that value: it is no date"),
        ("hours", {"a": -1}, "hours{}: can't hold that value: it is no time-micros"),
    ],
)
def test_what_is_not_of_a_logical_type_is_refused_with_its_place(
    folder: Path, field: str, value: Any, said: str
) -> None:
    """As for any other type."""
    with pytest.raises(BodyError) as raised:
        body_of("bill.Billed", json.dumps(GOOD | {field: value}), folder)
    assert said in str(raised.value)
    assert AvroCodec([Billed]).decode("bill.Billed", body_of("bill.Billed", json.dumps(GOOD), folder))
