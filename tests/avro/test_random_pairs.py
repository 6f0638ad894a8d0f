"""What is said of two schemas is what happens when one reads what the other wrote: many pairs, at random.

``CHOREO_FUZZ=1`` takes 100,000 pairs, in four parts.
"""

from __future__ import annotations

import os
from collections import Counter
from io import BytesIO
from random import Random
from typing import Any, NamedTuple

import pytest
from fastavro import schemaless_reader, schemaless_writer

from choreo.avro import ParsedSchema, Problem, parse_schema
from choreo.avro.resolution import Resolution, resolve
from choreo.avro.types import Mismatch
from choreo.errors import SchemaError

from .random_schemas import Schemas, values_of

PARTS = 4
PAIRS = 25_000 if os.environ.get("CHOREO_FUZZ") else 400
"""Pairs in each part."""


class Pair(NamedTuple):
    """What a reader made of a writer's values: what was said before, and how many each could not read."""

    writer: ParsedSchema
    reader: ParsedSchema
    problems: list[Problem]
    refused_here: int
    refused_by_fastavro: int


def examine(seed: int) -> Pair | None:
    """Make a pair by its seed; None where a schema is one that choreo doesn't take."""
    make = Schemas(Random(seed))
    written = make.record()
    try:
        writer, reader = parse_schema(written), parse_schema(make.drifted(written))
    except SchemaError:
        return None  # the drift left an array of items that take no bytes
    resolution = resolve(writer, reader)
    bodies = [body_of(writer, value) for value in values_of(written)]
    here = sum(not reads_here(writer, resolution, body) for body in bodies)
    there = sum(not fastavro_reads(writer, reader, body) for body in bodies)
    return Pair(writer, reader, resolution.problems, here, there)


def body_of(writer: ParsedSchema, value: Any) -> bytes:
    stream = BytesIO()
    schemaless_writer(stream, writer.bare, value)
    return stream.getvalue()


def reads_here(writer: ParsedSchema, resolution: Resolution, body: bytes) -> bool:
    raw = schemaless_reader(BytesIO(body), writer.bare, None, return_named_type=True)
    assert resolution.convert is not None
    try:
        resolution.convert(raw)
    except (Mismatch, UnicodeDecodeError):
        return False
    return True


def fastavro_reads(writer: ParsedSchema, reader: ParsedSchema, body: bytes) -> bool:
    try:
        schemaless_reader(BytesIO(body), writer.schema, reader.schema)
    except Exception:
        return False
    return True


def explanation(pair: Pair) -> str:
    """Return why what was said and what happened may differ; empty where they may not."""
    said, here, there = bool(pair.problems), bool(pair.refused_here), bool(pair.refused_by_fastavro)
    if said == here == there:
        return "they agree"
    twins = (("int", "long"), ("float", "double"))
    if said and not here and any(_has(pair.writer.schema, *branches) for branches in twins):
        # Python has one int, and one float: of a union of two sizes nobody can say which a value was.
        return "more is read than was promised: two branches of a union are one type in Python"
    if there and not said and not here and _has(pair.reader.schema, "string", "bytes"):
        # The letter of the specification, "the first schema that matches"; Java's does as choreo does.
        return "fastavro reads bytes as a string where a union names string first"
    return ""


def _has(schema: Any, *branches: str) -> bool:
    """Whether a union somewhere in a schema has these branches."""
    if isinstance(schema, list):
        own = [each for each in schema if isinstance(each, str) and each in branches]
        return set(own) == set(branches) or any(_has(each, *branches) for each in schema)
    return isinstance(schema, dict) and any(_has(each, *branches) for each in schema.values())


@pytest.mark.parametrize("part", range(PARTS))
def test_the_static_verdict_is_what_happens_at_run_time(part: int) -> None:
    """Both by choreo's own resolution and by fastavro's; every difference has its explanation."""
    found: Counter[str] = Counter()
    for seed in range(part * PAIRS, (part + 1) * PAIRS):
        pair = examine(seed)
        if pair is None:
            continue
        why = explanation(pair)
        assert why, f"seed {seed}: {pair}"
        found[why] += 1
        found["readable" if not pair.problems else "unreadable"] += 1
    print(dict(found))
    assert found["readable"] > PAIRS / 10 < found["unreadable"]
