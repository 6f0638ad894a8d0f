"""How PostgreSQL writes the pending rows of a turn: a statement for each table, all in one round trip."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from hashlib import sha256
from typing import Any, get_type_hints

import psycopg

from choreo.records import Entry, Scheduled, Unpublished
from choreo.store.pending import Mark, Pending, Removal, net
from choreo.store.postgresql.heads import PostgreSQLHeads
from choreo.store.postgresql.ownership import Homes, Ownership
from choreo.store.postgresql.session import Session, Statement

_TYPES = {int: "bigint", bytes: "bytea", bytes | None: "bytea"}


def types_of(row: type[tuple[object, ...]], fields: Sequence[str]) -> list[str]:
    """Return the database's types of some fields of a row."""
    hints = get_type_hints(row)
    return [_TYPES.get(hints[name], "text") for name in fields]


class Insertion:
    """The statement that inserts rows into some columns of a table; ``clause`` follows it."""

    def __init__(self, table: str, names: Sequence[str], types: Sequence[str], clause: str = "") -> None:
        columns = ", ".join(f'"{name}"' for name in names)
        arrays = ", ".join(f"%s::{kind}[]" for kind in types)
        self._written = [_ARRAYS[kind] for kind in types]
        self.sql = f"INSERT INTO choreo.{table} ({columns}) SELECT * FROM unnest({arrays}) {clause}"

    def values(self, rows: Sequence[tuple[Any, ...]]) -> list[str]:
        """Return the values of the statement: an array for each column.

        They are written here, as the driver takes five times as long for lists.
        """
        return [write(column) for write, column in zip(self._written, zip(*rows, strict=True), strict=True)]


def _texts(values: Sequence[str]) -> str:
    joined = '","'.join(values)
    if "\\" in joined or joined.count('"') != 2 * (len(values) - 1):
        joined = '","'.join([each.replace("\\", r"\\").replace('"', r"\"") for each in values])
    return f'{{"{joined}"}}'


def _numbers(values: Sequence[int]) -> str:
    return f"{{{','.join(map(str, values))}}}"


def _bytes(values: Sequence[bytes | None]) -> str:
    return f"{{{','.join(['NULL' if each is None else _HEX % memoryview(each).hex() for each in values])}}}"


_HEX = r'"\\x%s"'
_ARRAYS: dict[str, Callable[[Sequence[Any]], str]] = {"text": _texts, "bigint": _numbers, "bytea": _bytes}


_ENTRIES = Insertion(
    "saga_log",
    (*Entry._fields, "salt", "link"),
    (*types_of(Entry, Entry._fields), "bytea", "bytea"),
)
_UNPUBLISHED = Insertion(
    "outbox",
    (*Unpublished._fields[:-1], "partition"),
    (*types_of(Unpublished, Unpublished._fields[:-1]), "bigint"),
    "RETURNING seq",
)
_SCHEDULED = Insertion(
    "schedule",
    (*Scheduled._fields, "event_key", "partition"),
    (*types_of(Scheduled, Scheduled._fields), "text", "bigint"),
    "ON CONFLICT (saga_id, saga_type, task, name, event_key)"
    " DO UPDATE SET due = excluded.due, attempt = excluded.attempt, lane = excluded.lane,"
    " until = excluded.until, deaths = excluded.deaths",
)
_DELETE_UNPUBLISHED = "DELETE FROM choreo.outbox WHERE seq = ANY(%s::bigint[])"
_DELETE_SCHEDULED = """
DELETE FROM choreo.schedule WHERE (saga_id, saga_type, task, name)
    IN (SELECT * FROM unnest(%s::text[], %s::text[], %s::text[], %s::text[]))
"""

_LONG = 255
"""The characters of an event id above which its digest stands in the index, which has room for few bytes."""


class PostgreSQLPending(Pending):
    """The rows of one turn, and how PostgreSQL writes them, each with the partition of its saga.

    ``is_due_unsure`` is whether the turn may have changed the schedule by statements of its own.
    """

    def __init__(self, heads: PostgreSQLHeads, homes: Homes, ownership: Ownership) -> None:
        super().__init__(heads)
        self._cached = heads
        self._homes = homes
        self._ownership = ownership
        self._numbers: list[int] = []  # of the rows of the outbox that are written
        self.is_due_unsure = False

    def write(
        self, session: Session, first: Sequence[Statement] = (), then: Sequence[Statement] = ()
    ) -> list[psycopg.Cursor[Any]]:
        """Write what is not written yet, in one round trip with the statements before and after it.

        Return the results of all of them, in order. Raises one of `UNWRITABLE`.
        """
        if self.is_written:
            return session.execute_all((*first, *then))
        entries, unpublished, acknowledged, changes = self.unwritten
        removed, put = net(changes)
        home = self._homes.of
        try:
            self._cached.read(entries)
            statements = [
                *_inserted(_ENTRIES, self._heads.linked(entries)),
                *_inserted(
                    _UNPUBLISHED,
                    [(*row[:-1], home(row.saga_type, row.saga_id)) for row in unpublished],
                ),
                *([(_DELETE_UNPUBLISHED, (acknowledged,))] if acknowledged else ()),
                *_removed(removed),
                *_inserted(
                    _SCHEDULED,
                    [(*row, _key(row.event_id), home(row.saga_type, row.saga_id)) for row in put],
                ),
            ]
            cursors = session.execute_all((*first, *statements, *then))
        except BaseException:
            self._heads.forget(entries)
            raise
        if unpublished:
            self._numbers += [seq for (seq,) in cursors[len(first) + bool(entries)].fetchall()]
        self.written()
        return cursors

    @property
    def changes_schedule(self) -> bool:
        """Whether the turn has changed the schedule."""
        return self.is_due_unsure or bool(self.changes)

    def clear(self) -> None:
        """Drop all rows, as the turn is over."""
        if self.changes_schedule:
            self._ownership.known.due.clear()
            self.is_due_unsure = False
        super().clear()

    def undo(self, mark: Mark) -> None:
        """Drop the rows that came after ``mark``; those that were written after it are pending again."""
        super().undo(mark)
        del self._numbers[mark[4][1] :]

    def committed(self) -> None:
        """Keep what was written, as the transaction is committed."""
        known = self._ownership.known
        if known.is_complete:
            owns, rows = self._ownership.owns, zip(self.unpublished, self._numbers, strict=True)
            known.add([Unpublished(*row[:-1], seq) for row, seq in rows if owns(row.saga_type, row.saga_id)])
        super().committed()


def _inserted(insertion: Insertion, rows: Sequence[tuple[object, ...]]) -> list[Statement]:
    return [(insertion.sql, insertion.values(rows))] if rows else []


def _removed(rows: Sequence[Removal]) -> list[Statement]:
    return [(_DELETE_SCHEDULED, [list(column) for column in zip(*rows, strict=True)])] if rows else []


def _key(event_id: str) -> str:
    return event_id if len(event_id) <= _LONG else sha256(event_id.encode()).hexdigest()
