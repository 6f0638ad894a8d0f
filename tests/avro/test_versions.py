"""Every value is refused by its writer, or every compatible reader reads the same: many versions, at random.

``CHOREO_FUZZ=1`` takes 40,000 pairs of versions.
"""

from __future__ import annotations

import dataclasses
import math
import os
from collections import Counter
from datetime import UTC, datetime, time
from decimal import Decimal
from enum import Enum
from pathlib import Path
from random import Random
from typing import Annotated, Any
from uuid import UUID

import pytest

from choreo import DecimalOf, Participant, Saga, event
from choreo.avro import AvroCodec, write_schemas
from choreo.avro.json_encoding import body_of, text_of
from choreo.avro.schema_files import read_parsed_schema
from choreo.errors import BodyError, IncompatibleSchema, SchemaError
from choreo.testing.broker import MemoryBroker
from choreo.worker.composition import open_worker
from tests.avro.random_events import HALVES, Events

PARTS = 4
PAIRS = 10_000 if os.environ.get("CHOREO_FUZZ") else 30
"""Pairs in each part."""

NAME = "fuzz.Happened"
Renamed = dict[str, str]


def is_same(written: Any, read: Any, renamed: Renamed | None = None) -> bool:
    """Whether a value that was read means what was written, as far as its reader knows the fields."""
    if dataclasses.is_dataclass(written) and dataclasses.is_dataclass(read):
        old, names = vars(written), (renamed or {})
        shared = {name: names.get(name, name) for name in vars(read) if names.get(name, name) in old}
        return all(is_same(old[source], getattr(read, name)) for name, source in shared.items())
    if isinstance(written, Enum):
        unknown = isinstance(read, Enum) and written.name not in type(read).__members__
        return isinstance(read, Enum) and read.name == ("UNKNOWN" if unknown else written.name)
    if isinstance(written, list | tuple):
        return len(written) == len(read) and all(map(is_same, written, read))
    if isinstance(written, dict):
        return written.keys() == read.keys() and all(
            is_same(each, read[key]) for key, each in written.items()
        )
    if isinstance(written, float):
        same_sign = math.copysign(1, written) == math.copysign(1, read)
        return math.isnan(read) if math.isnan(written) else written == read and same_sign
    if isinstance(written, datetime):
        # Two times in one zone that is set back differ only in UTC.
        return isinstance(read, datetime) and written.astimezone(UTC) == read
    return bool(written == read) and (type(written) is type(read) or isinstance(read, float))


def encoded(codec: AvroCodec, value: Any) -> bytes | None:
    try:
        return codec.encode(value)
    except BodyError:
        return None


def is_written(cls: type, folder: Path, *, allow_incompatible: bool = False) -> bool:
    try:
        write_schemas([cls], folder, allow_incompatible=allow_incompatible)
    except IncompatibleSchema:
        return False
    return True


def check_pair(seed: int, folder: Path) -> str:
    """Check one pair of versions in both orders of writing; return how it ended."""
    make = Events(Random(seed))
    fields = make.fields()
    drifted, renamed = make.drifted(fields)
    first, second = make.event(fields, {}), make.event(drifted, renamed)
    write_schemas([first], folder)
    compatible = is_written(second, folder)
    if not compatible:
        is_written(second, folder, allow_incompatible=True)
    versions = [
        (fields, first, AvroCodec([first], [folder])),
        (drifted, second, AvroCodec([second], [folder])),
    ]
    for (kinds, cls, own), (_, _, other) in (versions, versions[::-1]):
        names = renamed if cls is first else {}
        for _ in range(4):
            value = cls(**{name: make.value(kind) for name, kind in kinds.items()})
            body = encoded(own, value)
            if body is None:
                continue
            assert is_same(value, own.decode(NAME, body)), value
            check_text(body, folder)
            try:
                read = other.decode(NAME, body)
            except BodyError:
                assert not compatible, value
            else:
                assert is_same(value, read, names), (value, read)
    return "compatible" if compatible else "incompatible"


def check_text(body: bytes, folder: Path) -> None:
    """Check that a body shown as text, and taken from it again, is the same body."""
    text = text_of(NAME, body, folder)
    current = read_parsed_schema(folder / f"{NAME}.avsc")
    if body.startswith(current.header):
        assert body_of(NAME, text, folder) == body


Cents = Annotated[Decimal, DecimalOf(12, 2)]
LIKE = [
    (one, other)
    for pair in [*HALVES, (Cents, Annotated[Decimal, DecimalOf(12, 4)])]
    for one, other in (pair, pair[::-1])
]
VALUES: dict[Any, Any] = {
    int: 5, str: "5", bytes: b"\x7f", UUID: UUID(int=5), datetime: datetime(2026, 1, 2, tzinfo=UTC),
    time: time(1)
}  # fmt: skip


def happened(kind: Any) -> type:
    return event(namespace="fuzz", name="Happened")(type("One", (), {"__annotations__": {"value": kind}}))


@pytest.mark.parametrize(("one", "other"), LIKE)
@pytest.mark.parametrize("nested", [lambda kind: kind, lambda kind: list[kind], lambda kind: kind | None])
def test_versions_that_differ_in_logical_types_alone_are_told_apart(
    one: Any, other: Any, nested: Any, tmp_path: Path
) -> None:
    """No flag writes the second; a reader, and a writer, that has the first among its files refuses both."""
    old, new = happened(nested(one)), happened(nested(other))
    write_schemas([old], tmp_path)
    value = VALUES.get(one, Decimal("12.34"))
    body = AvroCodec([old], [tmp_path]).encode(old([value] if nested(int) == list[int] else value))

    for allowed in (False, True):
        with pytest.raises(IncompatibleSchema, match="logical type") as caught:
            write_schemas([new], tmp_path, allow_incompatible=allowed)
        assert "another name" in caught.value.hint
    codec = AvroCodec([new], [tmp_path])
    with pytest.raises(BodyError, match=r"logical type was .* can tell them apart"):
        codec.decode(NAME, body)
    with pytest.raises(BodyError, match="logical type was"):
        codec.encode(new(None))
    assert codec.ambiguous


def test_a_worker_of_an_ambiguous_event_does_not_start(tmp_path: Path) -> None:
    """Its bodies would be misread by the others, and theirs by it."""
    done: type = event(namespace="fuzz")(type("Done", (), {}))
    failed: type = event(namespace="fuzz")(type("Failed", (), {}))
    write_schemas([happened(Cents)], tmp_path)
    new = happened(Annotated[Decimal, DecimalOf(12, 4)])
    saga = Saga("fuzz", starts=new, completes=done, fails=failed)
    participant = Participant("one", sagas=[saga])

    with (
        pytest.raises(SchemaError, match=r"Happened\.value: the logical type was decimal\(12, 2\)"),
        open_worker(participant, tmp_path / "one.db", MemoryBroker().log("one"), schemas=[tmp_path]),
    ):
        pass


@pytest.mark.parametrize("part", range(PARTS))
def test_what_one_version_writes_the_other_reads_or_refuses(part: int, tmp_path: Path) -> None:
    """Both orders; what `schemas write` takes is read by both, and what is read is never another value."""
    found: Counter[str] = Counter()
    for seed in range(part * PAIRS, (part + 1) * PAIRS):
        try:
            found[check_pair(seed, tmp_path / str(seed))] += 1
        except AssertionError as error:
            raise AssertionError(f"seed {seed}: {error}") from error
    print(dict(found))
    assert found["compatible"] > PAIRS / 10 < found["incompatible"]
