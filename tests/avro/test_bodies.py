"""A body that isn't what it should be becomes a BodyError: quickly, and never anything worse."""

from __future__ import annotations

import json
import random
import time
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Annotated

import pytest

from choreo import DecimalOf
from choreo.avro import AvroCodec, parse_schema, schema_of
from choreo.avro.schema_files import SchemaFolders
from choreo.errors import BodyError, SchemaError, UnknownFingerprint
from choreo.events import event
from tests.avro.shop import Empty, Flat, Rich
from tests.avro.test_round_trip import CODEC, SAMPLE

BODY = CODEC.encode(SAMPLE)


@event(namespace="shop")
class Bag:
    words: list[str]
    counts: dict[str, int]
    binary: bytes


BAGS = AvroCodec([Bag])
HEADER = BAGS.encode(Bag([], {}, b""))[:10]


def long(number: int) -> bytes:
    """Write an Avro long."""
    rest = ((number << 1) ^ (number >> 63)) & (2**64 - 1)
    out = bytearray()
    while rest > 127:
        out.append(rest & 127 | 128)
        rest >>= 7
    return bytes([*out, rest])


def decode(codec: AvroCodec, name: str, body: bytes | None) -> object:
    """Return what decoding gives: a value or a BodyError; any other exception is a failure."""
    try:
        return codec.decode(name, body)
    except BodyError as error:
        return error


def test_the_body_begins_with_marker_and_fingerprint() -> None:
    """Single-object encoding: C3 01, CRC-64-AVRO little-endian, the record."""
    assert HEADER.hex() == "c301" + define_of(Bag)
    assert CODEC.encode(Flat("a", "b", -1))[10:] == b"\x02a\x02b\x01"


def define_of(cls: type) -> str:
    return parse_schema(schema_of(cls)).fingerprint


@pytest.mark.parametrize(
    ("schema", "number"),
    [
        ({"type": "fixed", "name": "foo", "size": 15}, 1756455273707447556),
        (
            {"type": "record", "name": "foo", "fields": [{"name": "f1", "type": "boolean"}]},
            7843277075252814651,
        ),
    ],
)
def test_fingerprints_are_those_of_the_specification(schema: object, number: int) -> None:
    """Vectors of Avro's own test data (share/test/data/schema-tests.txt), whose numbers are signed."""
    wire = bytes.fromhex(parse_schema(schema).fingerprint)

    assert int.from_bytes(wire, "little", signed=True) == number


def test_a_fingerprint_is_the_crc_of_the_canonical_form() -> None:
    """Computed here by the specification's own algorithm, table and all."""
    empty = 0xC15D213AA4D7A795
    table = []
    for index in range(256):
        crc = index
        for _ in range(8):
            crc = (crc >> 1) ^ (empty & -(crc & 1))
        table.append(crc)
    crc = empty
    for byte in b'{"name":"shop.Empty","type":"record","fields":[]}':
        crc = (crc >> 8) ^ table[(crc ^ byte) & 255]

    assert bytes.fromhex(define_of(Empty)) == crc.to_bytes(8, "little")


@pytest.mark.parametrize("body", [None, b"", b"\xc3", b"\xc3\x01", b"\xc3\x01" + bytes(7)])
def test_no_body_or_a_short_one_is_refused(body: bytes | None) -> None:
    """A tombstone, too."""
    with pytest.raises(BodyError):
        CODEC.decode("shop.Rich", body)


def test_a_body_in_another_framing_is_refused() -> None:
    """Confluent's framing begins with a zero byte; that is no unknown fingerprint."""
    with pytest.raises(BodyError, match="single-object") as caught:
        CODEC.decode("shop.Rich", b"\0" + bytes(20))

    assert not isinstance(caught.value, UnknownFingerprint)


def test_a_body_cut_anywhere_is_refused() -> None:
    """At every byte."""
    for end in range(len(BODY)):
        with pytest.raises(BodyError):
            CODEC.decode("shop.Rich", BODY[:end])


def test_bytes_after_the_record_are_refused() -> None:
    """They would be a sign of a wrong schema."""
    with pytest.raises(BodyError, match="left over"):
        CODEC.decode("shop.Rich", BODY + b"\0")


def test_every_flipped_bit_ends_as_value_or_body_error() -> None:
    """No other exception gets out, and an unknown fingerprint is said to be one."""
    for place in range(len(BODY) * 8):
        flipped = bytearray(BODY)
        flipped[place // 8] ^= 1 << place % 8
        result = decode(CODEC, "shop.Rich", bytes(flipped))
        assert isinstance(result, Rich | BodyError)
        if 16 <= place < 80:
            assert isinstance(result, UnknownFingerprint)


def test_random_bytes_end_as_value_or_body_error() -> None:
    """After the right header; a fixed seed."""
    chance = random.Random(1)
    for _ in range(3000):
        body = BODY[:10] + chance.randbytes(chance.randrange(200))
        assert isinstance(decode(CODEC, "shop.Rich", body), Rich | BodyError)


@event(namespace="shop")
class Price:
    amount: Annotated[Decimal, DecimalOf(4, 2)]


@pytest.mark.parametrize(
    "number", [10**4, -(10**4), 2**23, 1 << 8 * 100_000], ids=["over", "under", "wide", "huge"]
)
def test_a_decimal_of_too_many_digits_is_refused(number: int) -> None:
    """Also one of 100,000 bytes, before it becomes a Decimal."""
    codec = AvroCodec([Price])
    header = codec.encode(Price(Decimal(1)))[:10]
    digits = number.to_bytes(number.bit_length() // 8 + 1, "big", signed=True)

    with pytest.raises(BodyError, match="amount: a decimal of more than 4 digits"):
        codec.decode("shop.Price", header + long(len(digits)) + digits)


def test_a_string_that_is_not_utf_8_is_refused() -> None:
    """It can't become a str."""
    with pytest.raises(BodyError, match="UnicodeDecodeError"):
        BAGS.decode("shop.Bag", HEADER + long(1) + long(1) + b"\xff" + long(0) * 3)


@pytest.mark.parametrize("count", [2**60, 2**63 - 1, -(2**60), -(2**63), -1, 2**31, 2**24])
@pytest.mark.parametrize("before", [b"", long(1), long(0), long(0) * 2, long(1) + long(-1)])
def test_a_length_that_lies_is_refused_at_once(count: int, before: bytes) -> None:
    """An array, a map, a string or bytes that claim more than there is take no time and no memory."""
    start = time.perf_counter()
    result = decode(BAGS, "shop.Bag", HEADER + before + long(count) + b"\x02a" * 20)

    assert isinstance(result, BodyError)
    assert time.perf_counter() - start < 0.5


@pytest.mark.parametrize(
    ("schema", "why"),
    [
        ({"type": "array", "items": "null"}, "take no bytes"),
        ({"type": "array", "items": {"type": "fixed", "name": "F", "size": 0}}, "take no bytes"),
        ({"type": "array", "items": {"type": "record", "name": "E", "fields": []}}, "take no bytes"),
        (["null", "A"], "contains itself"),
        ({"type": "array", "items": "A"}, "contains itself"),
    ],
)
def test_a_schema_without_bounds_is_refused(schema: object, why: str) -> None:
    """By these a short body could claim endless items, or overflow the decoder's stack."""
    with pytest.raises(SchemaError, match=why):
        parse_schema({"type": "record", "name": "A", "fields": [{"name": "x", "type": schema}]})


def test_a_schema_too_large_when_written_out_is_refused() -> None:
    """Thirty types, each twice in the next, are a billion."""
    fields: list[object] = [{"name": "r0", "type": {"type": "record", "name": "R0", "fields": []}}]
    for level in range(1, 31):
        pair = [{"name": name, "type": f"R{level - 1}"} for name in "ab"]
        fields.append({"name": f"r{level}", "type": {"type": "record", "name": f"R{level}", "fields": pair}})

    with pytest.raises(SchemaError, match="too large"):
        parse_schema({"type": "record", "name": "A", "fields": fields})


def test_a_schema_nested_too_deeply_is_refused() -> None:
    """Before any recursive parser sees it."""
    schema: object = "long"
    for _ in range(100_000):
        schema = {"type": "array", "items": schema}

    with pytest.raises(SchemaError, match="too deeply"):
        parse_schema(schema)
    while isinstance(schema, dict):  # taken apart by hand: freeing it at once recurses too
        schema = schema.pop("items")


def old_flat() -> tuple[dict[str, object], bytes]:
    """Return an older version of shop.Flat and a body of it."""
    fields = [
        {"name": "sku", "type": "string"},
        {
            "name": "gone",
            "type": {"type": "record", "name": "Gone", "fields": [{"name": "d", "type": "double"}]},
        },
        {"name": "count", "type": "int"},
        {"name": "order_id", "type": "string"},
        {"name": "last", "type": "double"},
    ]
    schema: dict[str, object] = {"type": "record", "name": "shop.Flat", "fields": fields}
    body = bytes.fromhex("c301" + parse_schema(schema).fingerprint)
    return schema, body + b"\x02s" + bytes(8) + b"\x04" + b"\x02o" + bytes(8)


@pytest.mark.parametrize("place", ["anything.avsc", "history/anything.avsc"])
def test_an_older_version_is_read_by_its_schema(tmp_path: Path, place: str) -> None:
    """Found by what is in the file, whatever the file is called."""
    schema, body = old_flat()
    path = tmp_path / place
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(schema))

    codec = AvroCodec([Flat], [tmp_path])

    assert codec.decode("shop.Flat", body) == Flat("o", "s", 2)
    assert codec.decode("shop.Flat", body) == Flat("o", "s", 2)


def test_an_older_body_cut_anywhere_is_refused(tmp_path: Path) -> None:
    """Within fields too that the reader doesn't have."""
    schema, body = old_flat()
    (tmp_path / "old.avsc").write_text(json.dumps(schema))
    codec = AvroCodec([Flat], [tmp_path])

    for end in range(len(body)):
        with pytest.raises(BodyError):
            codec.decode("shop.Flat", body[:end])


@dataclass(frozen=True)
class Line:
    sku: str
    tags: list[str] = field(default_factory=list)


@event(namespace="shop", name="Order")
class OrderNow:
    lines: list[Line]
    extra: Line | None = None
    seal: bytes = b"\xff"
    price: Annotated[Decimal, DecimalOf(4, 2)] = Decimal("0.50")


def test_a_field_that_the_writer_has_not_takes_the_class_s_default(tmp_path: Path) -> None:
    """In nested records too; bytes and unions keep their Python values."""
    line = {
        "type": "record",
        "name": "Line",
        "namespace": "shop",
        "fields": [{"name": "sku", "type": "string"}],
    }
    fields = [
        {"name": "lines", "type": {"type": "array", "items": line}},
        {"name": "extra", "type": "shop.Line"},
    ]
    schema = {"type": "record", "name": "shop.Order", "fields": fields}
    (tmp_path / "old.avsc").write_text(json.dumps(schema))
    body = bytes.fromhex("c301" + parse_schema(schema).fingerprint) + b"\x02\x02a\x00\x02b"

    order = AvroCodec([OrderNow], [tmp_path]).decode("shop.Order", body)

    assert order == OrderNow([Line("a")], Line("b"), b"\xff", Decimal("0.50"))
    assert vars(order.lines[0]) == {"sku": "a", "tags": []}  # type: ignore[attr-defined]


def test_the_body_of_another_event_is_refused() -> None:
    """Its fingerprint is known, its name isn't the one in ce_type."""
    with pytest.raises(BodyError, match=r"shop\.Empty was written, shop\.Flat is read"):
        CODEC.decode("shop.Flat", CODEC.encode(Empty()))


def test_an_error_of_the_class_s_own_check_is_a_body_error() -> None:
    """What __post_init__ refuses can't be decoded, and its message isn't repeated."""

    @event(namespace="shop")
    class Strict:
        name: str

        def __post_init__(self) -> None:
            if self.name == "secret":
                raise ValueError(self.name)

    codec = AvroCodec([Strict])
    body = codec.encode(Strict("public"))
    assert codec.decode("shop.Strict", body) == Strict("public")

    with pytest.raises(BodyError, match=r"^shop\.Strict: the body can't be read: ValueError$"):
        codec.decode("shop.Strict", body.replace(b"public", b"secret"))


def test_an_unknown_fingerprint_is_looked_for_again_but_not_each_time(tmp_path: Path) -> None:
    """A flood of unknown fingerprints doesn't read the disk; a file that comes later is found."""
    now = [0.0]
    folders = SchemaFolders([tmp_path], interval=1.0, clock=lambda: now[0])
    schema, _ = old_flat()
    mark = parse_schema(schema).fingerprint
    assert folders.find(mark) == []
    (tmp_path / "new.avsc").write_text(json.dumps(schema))

    now[0] = 0.9
    assert folders.find(mark) == []
    now[0] = 1.0
    assert folders.find(mark) != []


def test_files_that_are_no_schemas_are_passed_over(tmp_path: Path) -> None:
    """One bad file doesn't hide the others."""
    schema, body = old_flat()
    (tmp_path / "a.avsc").write_bytes(b"\xff\xfe")
    (tmp_path / "b.avsc").write_text('"string"')
    (tmp_path / "c.avsc").mkdir()
    (tmp_path / "d.avsc").write_text("[" * 100_000)
    (tmp_path / "e.avsc").write_text(json.dumps(schema))

    assert AvroCodec([Flat], [tmp_path, tmp_path / "none"]).decode("shop.Flat", body) == Flat("o", "s", 2)
