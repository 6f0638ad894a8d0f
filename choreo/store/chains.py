"""``Chains``: the rows of sagas' chains as a store holds them (see `choreo.chain`)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from choreo.chain import ZEROS, Row, chain_of, head_of
from choreo.records import Entry
from choreo.store.dialect import Dialect

Read = Callable[..., Sequence[Any]]
"""Executes a statement with its values, and returns the rows."""


class Chains:
    """Reads chains, and their heads: the links that their next rows follow."""

    def __init__(self, read: Read, dialect: Dialect) -> None:
        self.read = read
        select = "SELECT {entry}, id, salt, digest, link FROM {saga_log} WHERE saga_id = ?"
        of_saga = "FROM {saga_log} WHERE saga_id = ? AND saga_type = ?"
        self._with_id = dialect.sql(f"{select} ORDER BY id")
        self._of_saga = dialect.sql(f"{select} AND saga_type = ? ORDER BY id")
        self._first = dialect.sql(f"SELECT min(id) {of_saga}")
        self._last = dialect.sql(f"SELECT id, link {of_saga} ORDER BY id DESC LIMIT 1")
        self._keyed_by_id = dialect.sql("SELECT keyed_by_id FROM {store}")

    def keyed_by_id(self) -> int:
        """Return the id up to which the rows of all sagas with an id form one chain."""
        return int(self.read(self._keyed_by_id)[0][0])

    def with_id(self, saga_id: str) -> list[Row]:
        """Return the rows of all sagas with an id, in the order in which they were written."""
        return self._rows(self._with_id, saga_id)

    def chain(self, saga_id: str, saga_type: str) -> list[Row]:
        """Return the rows of a saga's chain."""
        shared, first = self.keyed_by_id(), self.read(self._first, saga_id, saga_type)[0][0]
        if first is None or first > shared:
            return self._rows(self._of_saga, saga_id, saga_type)
        return chain_of(self.with_id(saga_id), saga_type, shared)

    def head(self, saga_id: str, saga_type: str, keyed_by_id: int) -> bytes:
        """Return the head of a saga's chain."""
        found = self.read(self._last, saga_id, saga_type)
        if not found:
            return ZEROS
        identity, link = found[0]
        # A row without a link was written before choreo linked rows: the row that comes now seals it.
        if link is None or identity <= keyed_by_id:
            return head_of(self.chain(saga_id, saga_type))
        return bytes(link)

    def _rows(self, sql: str, *values: str) -> list[Row]:
        return [
            Row(identity, Entry._make(fields), salt, digest, link)
            for *fields, identity, salt, digest, link in self.read(sql, *values)
        ]
