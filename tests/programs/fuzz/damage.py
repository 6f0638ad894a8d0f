"""Ways to damage bytes: cut anywhere, any bit flipped, anything at random, lengths that lie."""

from __future__ import annotations

import random
from collections.abc import Iterator

LIES = (2**63 - 1, -(2**63), 2**62, -(2**62), 2**31, 2**31 - 1, 2**24, 2**16, -1)
"""Lengths and counts that are not true: of Avro's longs the largest, the smallest, and some between."""


def cuts(good: bytes) -> Iterator[bytes]:
    """Cut at every byte."""
    for end in range(len(good)):
        yield good[:end]


def flips(good: bytes, every: int = 1) -> Iterator[bytes]:
    """Flip every bit, or every so many-th."""
    for place in range(0, len(good) * 8, every):
        flipped = bytearray(good)
        flipped[place // 8] ^= 1 << place % 8
        yield bytes(flipped)


def noise(seed: int, count: int, begins: bytes = b"", longest: int = 200) -> Iterator[bytes]:
    """Return bytes at random, after a beginning that is right."""
    chance = random.Random(seed)
    for _ in range(count):
        yield begins + chance.randbytes(chance.randrange(longest))


def lies(good: bytes, begins: int) -> Iterator[bytes]:
    """Put a length that lies in the place of every byte, and go on as before, or with much of the same."""
    for place in range(begins, len(good)):
        for number in LIES:
            yield good[:place] + long(number) + good[place + 1 :]
    for number in LIES:
        yield good[:begins] + long(number) * 40
        yield good[:begins] + long(number) + b"\x02" * 500_000


def long(number: int) -> bytes:
    """Write an Avro long: zigzag, seven bits a byte."""
    rest = ((number << 1) ^ (number >> 63)) & (2**64 - 1)
    out = bytearray()
    while rest > 127:
        out.append(rest & 127 | 128)
        rest >>= 7
    return bytes([*out, rest])
