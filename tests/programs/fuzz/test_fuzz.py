"""Whatever a record holds, it ends as a success or as a dead letter with its reason, and soon.

`make fuzz` flips every bit and adds much more noise.
"""

from __future__ import annotations

import os
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.programs.fuzz.damage import cuts, flips, lies, noise
from tests.programs.fuzz.reader import (
    MEGABYTES,
    REASONS,
    SECONDS,
    TOPIC,
    Headers,
    Reader,
    Spoilt,
    good,
    resident,
)

LONG = os.environ.get("CHOREO_FUZZ") == "1"
EVERY = 1 if LONG else 11
"""Of how many bits one is flipped."""

NOISE = 5_000 if LONG else 300


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[Reader]:
    """Return a reader, and check at the end what must be true whatever it has read."""
    opened = Reader(tmp_path)
    resident_before = resident()
    tracemalloc.start()
    try:
        yield opened
    finally:
        tracemalloc.stop()
    assert_settled(opened)
    assert opened.slowest < SECONDS
    assert opened.largest < MEGABYTES * 2**20
    assert resident() - resident_before < 4 * MEGABYTES
    opened.close()


def assert_settled(reader: Reader) -> None:
    """Each record was seen, or is a dead letter with a reason; never both, never neither; nothing waits."""
    assert reader.read_good("the-last")
    records = reader.broker.records(TOPIC)
    theirs = [each for each in records if dict(each.headers).get("ce_type") != b"shop.Seen"]
    letters = {letter.offset: letter for letter in reader.letters()}
    assert len(letters) == len(reader.letters())
    assert {letter.reason for letter in letters.values()} <= REASONS
    assert all(letter.detail for letter in letters.values())
    assert len(reader.seen) == len(set(reader.seen))
    seen = {saga_id.encode() for saga_id in reader.seen}
    assert [each for each in theirs if each.offset not in letters and each.key not in seen] == []
    assert reader.store.next_due() is None
    assert reader.position() >= records[-1].offset


def test_a_body_cut_or_flipped_anywhere_is_settled(reader: Reader) -> None:
    """At every byte, and in every bit."""
    bodies = [*cuts(reader.body), *flips(reader.body, EVERY)]
    count = reader.read(good(f"b-{number}", body) for number, body in enumerate(bodies))
    assert count == len(bodies)
    assert len(reader.letters()) > count / 4
    assert len(reader.seen) > len(reader.body) / 2 / EVERY


def test_a_body_of_noise_is_settled(reader: Reader) -> None:
    """Behind the right fingerprint, and without any."""
    half = NOISE // 2
    bodies = [*noise(1, half, reader.body[:10]), *noise(2, half)]
    reader.read(good(f"n-{number}", body) for number, body in enumerate(bodies))
    assert len(reader.letters()) > NOISE * 0.9


def test_a_length_that_lies_is_settled_soon_and_takes_no_memory(reader: Reader) -> None:
    """In the place of every byte: of a string, of bytes, of a list, of a map, of nested ones."""
    bodies = [*lies(reader.body, 10)]
    chosen = bodies if LONG else [*bodies[::5], *bodies[-20:]]
    reader.read(good(f"l-{number}", body) for number, body in enumerate(chosen))
    assert len(reader.letters()) > len(chosen) * 0.5


def headers_spoilt(plain: Headers) -> Iterator[Headers]:
    """Damage every header's value and name; leave it out; double it; make it huge; make many of it."""
    for at, (name, value) in enumerate(plain):
        before, after = [*plain[:at]], [*plain[at + 1 :]]
        for spoilt in (*cuts(value or b""), *flips(value or b"", EVERY), b"", b"\xff", b"\0", None):
            yield [*before, (name, spoilt), *after]
        for other in ("", name.upper(), name[:-1], f"{name} ", "x" * 100_000):
            yield [*before, (other, value), *after]
        yield [*before, *after]
        yield [*plain, (name, value)]
        for size in (1_025, 70_000, 900_000):
            yield [*before, (name, b"1" * size), *after]
    yield [*plain, *(("x", b"") for _ in range(100_000))]
    yield [*plain, *((f"ce_{number}", b"y" * 100) for number in range(60))]
    yield []


def test_headers_damaged_anyhow_are_settled(reader: Reader) -> None:
    """Values and names: cut, flipped, missing, doubled, huge, too many."""
    spoilt = headers_spoilt(good("h", None).headers)
    records = [Spoilt(b"h", headers, reader.body) for headers in spoilt]
    with_keys = [each._replace(key=dict(each.headers).get("ce_subject") or b"h") for each in records]
    reader.read([*records, *with_keys[:: 1 if LONG else 3]])
    assert len(reader.letters()) > len(records) / 2


def test_headers_of_noise_are_settled(reader: Reader) -> None:
    """Names that are right with values that are nothing, and names that are nothing."""
    names = [name for name, _ in good("h", None).headers]
    values = noise(3, NOISE * len(names), longest=40)
    reader.read(
        Spoilt(b"h", [(name, next(values)) for name in names], reader.body) for _ in range(NOISE // 2)
    )
    reader.read(
        Spoilt(b"h", [(next(values).decode("latin-1"), b"") for _ in range(5)], reader.body)
        for _ in range(NOISE // 10)
    )
    assert len(reader.letters()) == NOISE // 2 + NOISE // 10
