"""The heads of chains in a PostgreSQL database, read together (see `choreo.chain`)."""

from __future__ import annotations

from collections.abc import Iterable

from choreo.chain import ZEROS
from choreo.records import Entry
from choreo.store.heads import Heads

_LAST = """
SELECT own.saga_id, own.saga_type, last.id, last.link
FROM unnest(%s::text[], %s::text[]) AS own (saga_id, saga_type) LEFT JOIN LATERAL (
    SELECT id, link FROM choreo.saga_log AS row
    WHERE row.saga_id = own.saga_id AND row.saga_type = own.saga_type ORDER BY id DESC LIMIT 1
) AS last ON true
"""


class PostgreSQLHeads(Heads):
    """The heads of chains in a PostgreSQL database."""

    _is_old = False

    def clear(self) -> None:
        """Clear the cache, as another process has written, which may have copied a store into this one."""
        super().clear()
        self._is_old = True

    @property
    def may_be_keyed_by_id(self) -> bool:
        """Whether there may be sagas of before a store was keyed by saga type and id."""
        self._look()
        return self._keyed_by_id > 0

    def _look(self) -> None:
        if self._is_old:
            self._keyed_by_id, self._is_old = self._chains.keyed_by_id(), False

    def read(self, entries: Iterable[Entry]) -> None:
        """Read the heads that `linked` will need for entries and that are not cached, in one statement."""
        self._look()
        missing = list({entry[:2] for entry in entries if entry[:2] not in self._known})
        if len(missing) < 2:
            return
        columns = [list(column) for column in zip(*missing, strict=True)]
        for saga_id, saga_type, identity, link in self._chains.read(_LAST, *columns):
            if identity is None:
                self._known[saga_id, saga_type] = ZEROS
            elif link is not None and identity > self._keyed_by_id:
                self._known[saga_id, saga_type] = bytes(link)
