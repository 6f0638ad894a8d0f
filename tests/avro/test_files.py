"""Schema files: written, compared, kept, and refused when a version could not live beside another."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from choreo.avro import (
    AvroCodec,
    Finding,
    check_schemas,
    other_schemas,
    parse_schema,
    schema_of,
    write_schemas,
)
from choreo.errors import IncompatibleSchema, SchemaError
from choreo.events import event
from tests.avro.shop import Flat, Rich


def order(doc: str = "", **fields: Any) -> type:
    """Make a version of shop.Order; a field is a type, or (type, default)."""
    body: dict[str, Any] = {"__doc__": doc, "__annotations__": {}}
    for name, spec in fields.items():
        body["__annotations__"][name] = spec[0] if isinstance(spec, tuple) else spec
        if isinstance(spec, tuple):
            body[name] = spec[1]
    return event(namespace="shop")(type("Order", (), body))


def mark(cls: type) -> str:
    return parse_schema(schema_of(cls)).fingerprint


def messages(findings: list[Finding]) -> str:
    return "\n".join(f"{finding.message} ({finding.hint})" for finding in findings)


V1 = order(id=str)
V2 = order(id=str, note=(str, ""))
BROKEN = order(id=int)


def test_files_are_written_once(tmp_path: Path) -> None:
    """The current version by name, every version by fingerprint; a second time nothing changes."""
    folder = tmp_path / "schemas"

    changed = write_schemas([Rich, Flat], folder)

    assert changed == [
        folder / "shop.Flat.avsc",
        folder / "history" / f"{mark(Flat)}.avsc",
        folder / "shop.Rich.avsc",
        folder / "history" / f"{mark(Rich)}.avsc",
    ]
    assert write_schemas([Flat, Rich], folder) == []
    assert check_schemas([Flat, Rich], folder) == []
    assert sorted(p.name for p in folder.iterdir()) == ["history", "shop.Flat.avsc", "shop.Rich.avsc"]


def test_a_file_is_pretty_json_that_ends_in_a_newline(tmp_path: Path) -> None:
    """So that a difference reads well in a review."""
    write_schemas([V1], tmp_path)

    text = (tmp_path / "shop.Order.avsc").read_text()
    assert text == json.dumps(schema_of(V1), indent=2) + "\n"


def test_a_compatible_version_joins_the_history(tmp_path: Path) -> None:
    """And the codec of each version reads the bodies of the other."""
    write_schemas([V1], tmp_path)
    changed = write_schemas([V2], tmp_path)

    assert changed == [tmp_path / "shop.Order.avsc", tmp_path / "history" / f"{mark(V2)}.avsc"]
    assert check_schemas([V2], tmp_path) == []
    old, new = AvroCodec([V1], [tmp_path]), AvroCodec([V2], [tmp_path])
    assert new.decode("shop.Order", old.encode(V1("o"))) == V2("o", "")
    assert old.decode("shop.Order", new.encode(V2("o", "n"))) == V1("o")


def test_missing_files_are_found(tmp_path: Path) -> None:
    """Of a folder that doesn't exist too."""
    findings = check_schemas([V1], tmp_path / "none")

    assert [finding.path.name for finding in findings] == ["shop.Order.avsc", f"{mark(V1)}.avsc"]
    assert "missing (choreo schemas write)" in messages(findings)


@pytest.mark.parametrize(
    "changed",
    [order(id=str, note=(str, "")), order("A doc.", id=str), order(id=(str, "none")), order(id=(str, "1"))],
)
def test_drift_is_found(tmp_path: Path, changed: type) -> None:
    """Also of a doc or a default, which the fingerprint doesn't show."""
    write_schemas([V1], tmp_path)

    assert "differs from shop.Order in the code" in messages(check_schemas([changed], tmp_path))


def test_a_default_of_another_json_type_is_drift(tmp_path: Path) -> None:
    """JSON's 0 and false are equal in Python."""
    flag = order(id=str, on=(bool, False))
    write_schemas([flag], tmp_path)
    path = tmp_path / "shop.Order.avsc"
    path.write_text(path.read_text().replace("false", "0"))

    assert [finding.path for finding in check_schemas([flag], tmp_path)] == [path]


def test_a_file_of_another_event_is_no_finding(tmp_path: Path) -> None:
    """It may be another service's, which shares the folder."""
    write_schemas([V1, Flat], tmp_path)

    assert check_schemas([V1], tmp_path) == []
    assert [path.name for path in other_schemas([V1], tmp_path)] == ["shop.Flat.avsc"]
    assert other_schemas([V1, Flat], tmp_path) == []


@pytest.mark.parametrize(
    ("new", "why"),
    [
        (BROKEN, "the new version can't read the old one: id: a string was written, a long is read"),
        (order(id=str, more=str), "the new version can't read the old one: more: not written"),
        (order(note=(str, "")), "the old version can't read the new one: id: not written"),
        (order(id=str | None), "the old version can't read the new one: id: null was written"),
    ],
)
def test_an_incompatible_version_is_refused(tmp_path: Path, new: type, why: str) -> None:
    """Either way; nothing is written, and check says the same."""
    write_schemas([V1], tmp_path)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*.avsc")}

    with pytest.raises(IncompatibleSchema) as caught:
        write_schemas([new, Flat], tmp_path)

    assert why in caught.value.message
    assert {path: path.read_bytes() for path in tmp_path.rglob("*.avsc")} == before
    assert why in messages(check_schemas([new], tmp_path))


def test_every_version_of_the_history_counts(tmp_path: Path) -> None:
    """Not only the last: the log holds them all."""
    write_schemas([order(id=str)], tmp_path)
    write_schemas([order(id=str, note=(str, ""))], tmp_path)

    with pytest.raises(IncompatibleSchema, match=mark(V1)):
        write_schemas([order(note=(str, ""))], tmp_path)


def test_an_incompatible_version_can_be_forced(tmp_path: Path) -> None:
    """It stays a finding until the old version is deleted by hand."""
    write_schemas([V1], tmp_path)
    write_schemas([BROKEN], tmp_path, allow_incompatible=True)
    old = tmp_path / "history" / f"{mark(V1)}.avsc"

    assert [finding.path for finding in check_schemas([BROKEN], tmp_path)] == [old]
    old.unlink()
    assert check_schemas([BROKEN], tmp_path) == []


def test_a_logical_type_that_changes_behind_the_same_fingerprint_is_refused(tmp_path: Path) -> None:
    """The codec could not see it: the canonical form leaves logical types out."""
    from datetime import datetime

    write_schemas([order(id=str, at=int)], tmp_path)
    new = order(id=str, at=datetime)
    assert mark(new) == mark(order(id=str, at=int))

    with pytest.raises(IncompatibleSchema, match="logical type was none, now it is timestamp-micros"):
        write_schemas([new], tmp_path)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff",
        b"{",
        b"[" * 200_000,
        b'"string"',
        b'{"type": "no"}',
        b"[]",
        b"3",
        b"{}",
        json.dumps(schema_of(V1)).encode() + b" " * 1_048_577,
    ],
)
@pytest.mark.parametrize("name", ["shop.Order.avsc", "history/0000000000000000.avsc"])
def test_a_file_that_is_no_schema_is_found(tmp_path: Path, content: bytes, name: str) -> None:
    """By its path, without a traceback; in the history it also stops a write."""
    write_schemas([V1], tmp_path)
    path = tmp_path / name
    path.write_bytes(content)

    findings = check_schemas([V1], tmp_path)

    assert [finding.path for finding in findings] == [path]
    assert str(path) in findings[0].message
    if name.startswith("history"):
        with pytest.raises(SchemaError, match=str(path)):
            write_schemas([V1], tmp_path)


def test_an_edited_version_of_the_history_is_found(tmp_path: Path) -> None:
    """Its content no longer has the fingerprint that its name says."""
    write_schemas([V1, Flat], tmp_path)
    path = tmp_path / "history" / f"{mark(Flat)}.avsc"
    path.write_text(path.read_text().replace("sku", "ean"))

    assert "has the fingerprint" in messages(check_schemas([V1], tmp_path))


def test_a_folder_that_can_t_be_written_is_a_schema_error(tmp_path: Path) -> None:
    """With the path."""
    blocked = tmp_path / "file"
    blocked.write_text("")

    with pytest.raises(SchemaError, match="can't be written"):
        write_schemas([V1], blocked)


def test_two_events_of_one_name_are_refused(tmp_path: Path) -> None:
    """One file can't be both."""
    with pytest.raises(SchemaError, match=r"two events are both called shop\.Order"):
        write_schemas([V1, V2], tmp_path)
