"""``key_hash``: the number from which a producer derives the partition of a key."""

from __future__ import annotations

from confluent_kafka.cimpl import murmur2

_LARGEST = 0x7FFFFFFF


def key_hash(key: str) -> int:
    """Return the positive murmur2 hash of a key; its remainder by the number of partitions is the partition.

    Source: Apache Kafka's ``Utils.murmur2`` and ``Utils.toPositive``.

    >>> key_hash("order-1") % 6
    4
    """
    data = key.encode()
    # The client only returns remainders: that by the largest hash is the hash, but for 0 and the largest one
    # itself, of which one is even.
    found = int(murmur2(data, _LARGEST))
    return found or (_LARGEST if murmur2(data, 2) else 0)
