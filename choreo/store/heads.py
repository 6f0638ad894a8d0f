"""Linking rows of the saga log as they are written (see `choreo.chain`)."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence

from choreo.chain import SALT_BYTES, ZEROS, digest_of, link_of
from choreo.records import Entry
from choreo.store.chains import Chains

LIMIT = 20_000
"""How many heads are cached."""

Linked = tuple[object, ...]
"""A row as it is inserted: the fields of `Entry`, the salt, the link."""


class Heads:
    """The heads of sagas' chains: the links that their next rows follow.

    It caches the heads of up to ``limit`` sagas. `clear` is called when another connection has written, and
    `forget` removes heads of rows that were undone. ``chance`` returns so many random bytes,
    for the salts.
    """

    def __init__(
        self, chains: Chains, limit: int = LIMIT, chance: Callable[[int], bytes] = os.urandom
    ) -> None:
        self._chains = chains
        self._keyed_by_id = chains.keyed_by_id()
        self._chance = chance
        self._limit = limit
        self._known: dict[tuple[str, str], bytes] = {}

    def clear(self) -> None:
        """Clear the cache, as another connection has written."""
        self._known.clear()

    def new(self, saga_id: str, saga_type: str) -> None:
        """Cache that a saga has no rows."""
        self._known[saga_id, saga_type] = ZEROS
        self._trim()

    def drop(self, saga_id: str, saga_type: str) -> None:
        """Remove the head of one saga, to which another connection may have added."""
        self._known.pop((saga_id, saga_type), None)

    def forget(self, entries: Iterable[Entry]) -> None:
        """Remove the sagas of rows that were linked and then undone."""
        for entry in entries:
            self._known.pop(entry[:2], None)

    def linked(self, entries: Sequence[Entry]) -> list[Linked]:
        """Return rows with their salts and links; they must be written in this order."""
        rows: list[Linked] = []
        known, chance = self._known, self._chance(SALT_BYTES * len(entries))
        for number, entry in enumerate(entries):
            saga, payload = entry[:2], entry.payload
            before = known.get(saga) or self._head(*saga)
            if payload is None:
                salt, digest = None, ZEROS
            else:
                salt = chance[number * SALT_BYTES : (number + 1) * SALT_BYTES]
                digest = digest_of(payload, salt)
            link = known[saga] = link_of(before, entry, digest)
            rows.append(entry + (salt, link))  # noqa: RUF005 (twice as fast)
        self._trim()  # not before, as heads of rows that are not written yet can't be read again
        return rows

    def _head(self, saga_id: str, saga_type: str) -> bytes:
        return self._chains.head(saga_id, saga_type, self._keyed_by_id)

    def _trim(self) -> None:
        if len(self._known) > self._limit:
            self._known.clear()
