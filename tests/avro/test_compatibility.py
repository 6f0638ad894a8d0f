"""The rules of schema resolution, each way, against what fastavro really reads."""

from __future__ import annotations

import json
from io import BytesIO
from typing import Any

import pytest
from fastavro import schemaless_reader, schemaless_writer

from choreo.avro import incompatibilities, parse_schema, unreadable
from choreo.avro.resolution import resolve
from choreo.avro.types import Mismatch

Json = Any


def enum(*symbols: str, **more: Json) -> Json:
    return {"type": "enum", "name": "E", "symbols": list(symbols), **more}


def record(name: str = "R", /, **fields: Json) -> Json:
    return {"type": "record", "name": name, "fields": [{"name": n, "type": t} for n, t in fields.items()]}


def fixed(size: int, name: str = "F", **more: Json) -> Json:
    return {"type": "fixed", "name": name, "size": size, **more}


def array(items: Json) -> Json:
    return {"type": "array", "items": items}


def mapping(values: Json) -> Json:
    return {"type": "map", "values": values}


MILLIS = {"type": "long", "logicalType": "timestamp-millis"}
MICROS = {"type": "long", "logicalType": "timestamp-micros"}

# What is written, what is read, a value, what the reader makes of it.
READABLE: list[tuple[Json, Json, Json, Json]] = [
    ("int", "long", 3, 3),
    ("int", "float", 3, 3.0),
    ("int", "double", 3, 3.0),
    ("long", "float", 3, 3.0),
    ("long", "double", 3, 3.0),
    ("float", "double", 0.5, 0.5),
    ("string", "bytes", "a", b"a"),
    ("string", "string", "a", "a"),
    (array("int"), array("double"), [1], [1.0]),
    (mapping("int"), mapping("double"), {"a": 1}, {"a": 1.0}),
    (enum("A"), enum("A", "B"), "A", "A"),
    (enum("A", "B"), enum("A", default="A"), "B", "A"),
    (fixed(2), fixed(2), b"ab", b"ab"),
    (fixed(2, "G"), fixed(2, aliases=["G"]), b"ab", b"ab"),
    ("string", ["null", "string"], "a", "a"),
    ("int", ["null", "double"], 1, 1.0),
    (["null", "string"], ["string", "null"], None, None),
    (["null", "string"], ["string", "long", "null"], "a", "a"),
    (["string"], "string", "a", "a"),
    (record("a.R", x="int"), record("b.R", x="long"), {"x": 1}, {"x": 1}),
    (record(x="int", y="string"), record(y="string"), {"x": 1, "y": "a"}, {"y": "a"}),
    (record(x="int", y="string"), record(y="string", x="int"), {"x": 1, "y": "a"}, {"x": 1, "y": "a"}),
    (record("Old", x="int"), {**record(x="int"), "aliases": ["Old"]}, {"x": 1}, {"x": 1}),
    (
        record(x="int"),
        {"type": "record", "name": "R", "fields": [{"name": "y", "type": "int", "aliases": ["x"]}]},
        {"x": 1},
        {"y": 1},
    ),
    (MICROS, MICROS, 5, None),
]

# What is written, what is read, a value that can't be, the path under "v", a piece of the reason.
UNREADABLE: list[tuple[Json, Json, Json, str, str]] = [
    ("long", "int", 3, "", "a long was written, an int is read"),
    ("double", "float", 0.5, "", "a double was written, a float is read"),
    ("double", "long", 0.5, "", "a double was written, a long is read"),
    ("string", "long", "a", "", "a string was written, a long is read"),
    ("boolean", "string", True, "", "a boolean was written, a string is read"),
    ("null", "string", None, "", "null was written, a string is read"),
    ("bytes", "string", b"\xff", "", "need not be UTF-8"),
    (array("string"), array("long"), ["a"], "[]", "a string was written"),
    (mapping("string"), mapping("long"), {"a": "b"}, "{}", "a string was written"),
    (array("long"), mapping("long"), [1], "", "an array was written, a map is read"),
    (enum("A", "B"), enum("A"), "B", "", "doesn't know B and has no default"),
    (fixed(2), fixed(3), b"ab", "", "a fixed of 2 bytes was written, one of 3 is read"),
    (fixed(2, "G"), fixed(2), b"ab", "", "G was written, F is read"),
    (["null", "string"], "string", None, "", "null was written, a string is read"),
    (["null", "string"], ["string", "long"], None, "", "only string, long can be read"),
    ("double", ["null", "long"], 0.5, "", "a double was written, only null, long can be read"),
    (record("Q", x="int"), record("R", x="int"), {"x": 1}, "", "Q was written, R is read"),
    (record(x="int"), record(x="int", y="int"), {"x": 1}, ".y", "not written, and has no default"),
    (record(x="string"), record(x="int"), {"x": "a"}, ".x", "a string was written, an int is read"),
]


def outer(schema: Json) -> Json:
    return {"type": "record", "name": "Outer", "fields": [{"name": "v", "type": schema}]}


def body_of(schema: Json, value: Json) -> bytes:
    stream = BytesIO()
    schemaless_writer(stream, schema, {"v": value})
    return stream.getvalue()


def read(written: Json, read_as: Json, value: Json) -> Json:
    """Read a value by choreo's own resolution."""
    writer = parse_schema(outer(written))
    raw = schemaless_reader(BytesIO(body_of(writer.bare, value)), writer.bare, None, return_named_type=True)
    convert = resolve(writer, parse_schema(outer(read_as))).convert
    assert convert is not None
    return convert(raw)["v"]


@pytest.mark.parametrize(("written", "read_as", "value", "result"), READABLE)
def test_what_the_rules_allow_is_read(written: Json, read_as: Json, value: Json, result: Json) -> None:
    """No problem is found, and choreo and fastavro read the same value."""
    result = value if result is None else result

    assert unreadable(parse_schema(outer(written)), parse_schema(outer(read_as))) == []
    found = read(written, read_as, value)
    assert (found, type(found)) == (result, type(result))
    if "logicalType" not in written:
        body = BytesIO(body_of(outer(written), value))
        assert schemaless_reader(body, outer(written), outer(read_as))["v"] == result


@pytest.mark.parametrize(("written", "read_as", "value", "path", "why"), UNREADABLE)
def test_what_the_rules_forbid_is_found_and_refused(
    written: Json, read_as: Json, value: Json, path: str, why: str
) -> None:
    """With the field's path; neither choreo nor fastavro reads such a value."""
    problems = unreadable(parse_schema(outer(written)), parse_schema(outer(read_as)))

    assert [problem.path for problem in problems] == ["v" + path]
    assert why in problems[0].reason
    with pytest.raises((Mismatch, UnicodeDecodeError)):
        read(written, read_as, value)
    with pytest.raises(Exception):  # noqa: B017, PT011
        schemaless_reader(BytesIO(body_of(outer(written), value)), outer(written), outer(read_as))


@pytest.mark.parametrize(
    ("written", "read_as"),
    [
        (MILLIS, MICROS),
        ("long", MICROS),
        (MICROS, "long"),
        ({"type": "int", "logicalType": "date"}, MICROS),
        ("string", {"type": "string", "logicalType": "uuid"}),
        (
            {"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2},
            {"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 3},
        ),
    ],
)
def test_a_changed_logical_type_is_a_problem(written: Json, read_as: Json) -> None:
    """The same bytes would mean something else."""
    problems = unreadable(parse_schema(outer(written)), parse_schema(outer(read_as)))

    assert "logical type" in problems[0].reason


def test_a_value_that_can_be_read_is_read_beside_one_that_cannot() -> None:
    """One symbol too many, or one branch, doesn't stop the other records."""
    assert read(enum("A", "B"), enum("A"), "A") == "A"
    assert read(["null", "string"], "string", "a") == "a"
    with pytest.raises(Mismatch):
        read(enum("A", "B"), enum("A"), "B")


def test_records_in_unions_are_told_apart_by_name() -> None:
    """Where fastavro's own resolution fails: the reader's union names a type defined before."""
    card, cash = record("shop.Card", n="string"), record("shop.Cash", n="string")
    old = outer(["null", card, cash])
    new = outer([cash, "null", card])
    reader = {**new, "fields": [{"name": "u", "type": ["null", card], "default": None}, *new["fields"]]}
    reader["fields"][1] = {"name": "v", "type": [cash, "null", "shop.Card"]}
    writer, target = parse_schema(old), parse_schema(reader)
    body = BytesIO(body_of(writer.bare, ("shop.Card", {"n": "1"})))
    raw = schemaless_reader(body, writer.bare, None, return_named_type=True)

    resolution = resolve(writer, target)

    assert resolution.problems == []
    assert resolution.convert is not None
    assert resolution.convert(raw) == {"v": ("shop.Card", {"n": "1"})}


def test_a_record_becomes_a_branch_and_back() -> None:
    """X to X | None and the other way, for the values that allow it."""
    card = record("Card", n="int")

    assert read(card, ["null", card], {"n": 1}) == ("Card", {"n": 1})
    assert read(["null", card], card, ("Card", {"n": 1})) == {"n": 1}


def test_a_branch_of_the_same_type_is_taken_before_one_that_it_could_become() -> None:
    """Bytes written by ``str | bytes`` are read as bytes: found by random pairs, seed 3532."""
    either = ["string", "bytes"]

    assert unreadable(parse_schema(outer(either)), parse_schema(outer(either))) == []
    assert read(either, ["null", *either], b"\xff") == b"\xff"
    assert read("int", ["double", "int"], 3) == 3
    assert read("int", ["double", "string"], 3) == 3.0


def test_types_that_contain_themselves_are_compared_to_the_end() -> None:
    """Each pair once."""
    tree = {
        "type": "record",
        "name": "T",
        "fields": [{"name": "v", "type": "int"}, {"name": "t", "type": ["null", "T"]}],
    }
    other = json.loads(json.dumps(tree).replace('"int"', '"string"'))

    assert unreadable(parse_schema(tree, bounded=False), parse_schema(tree, bounded=False)) == []
    problems = unreadable(parse_schema(tree, bounded=False), parse_schema(other, bounded=False))
    assert [str(problem) for problem in problems] == ["v: an int was written, a string is read"]


def test_both_directions_count() -> None:
    """A new field without default breaks one way, a removed one the other, a widened type one."""
    small, large = parse_schema(record(x="int")), parse_schema(record(x="int", y="int"))

    assert incompatibilities(small, large) == [
        "the new version can't read the old one: y: not written, and has no default"
    ]
    assert incompatibilities(large, small) == [
        "the old version can't read the new one: y: not written, and has no default"
    ]
    assert incompatibilities(parse_schema(record(x="int")), parse_schema(record(x="long"))) == [
        "the old version can't read the new one: x: a long was written, an int is read"
    ]


def test_a_path_leads_through_lists_maps_and_records() -> None:
    """So that one sees where to look."""
    old = parse_schema(outer(array(mapping(record("R", x="int")))))
    new = parse_schema(outer(array(mapping(record("R", x="string")))))

    assert str(unreadable(old, new)[0]) == "v[]{}.x: an int was written, a string is read"
