"""``key_hash``: the number from which a producer derives the partition of a key."""

from __future__ import annotations

from struct import unpack_from

_SEED = 0x9747B28C
_FACTOR = 0x5BD1E995
_MASK = 0xFFFFFFFF


def key_hash(key: str) -> int:
    """Return the positive murmur2 hash of a key; its remainder by the number of partitions is the partition.

    Source: Apache Kafka's ``Utils.murmur2`` and ``Utils.toPositive``.

    >>> key_hash("order-1") % 6
    4
    """
    data = key.encode()
    value = _SEED ^ len(data)
    for at in range(0, len(data) & ~3, 4):
        word = unpack_from("<I", data, at)[0] * _FACTOR & _MASK
        word = (word ^ word >> 24) * _FACTOR & _MASK
        value = value * _FACTOR & _MASK ^ word
    rest = data[len(data) & ~3 :]
    if rest:
        value = (value ^ int.from_bytes(rest, "little")) * _FACTOR & _MASK
    value = (value ^ value >> 13) * _FACTOR & _MASK
    return (value ^ value >> 15) & 0x7FFFFFFF
