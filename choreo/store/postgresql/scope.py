"""The statements of a worker that shares its store: each is about the rows of the partitions that it owns.

What reads in an order reads a few rows of each partition, by an index, whatever the others hold.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import get_args

from choreo.records import Lane
from choreo.store.postgresql.dialect import POSTGRESQL, SQL

Scope = tuple[list[str], list[int]]
"""The saga types and the numbers of partitions."""

_OWN = "unnest(%s::text[], %s::bigint[]) AS own (type, number)"
_IN = f"(saga_type, partition) IN (SELECT type, number FROM {_OWN})"


class Scoped:
    """Turns a statement about all rows, and its values, into the one about the rows of some partitions."""

    def __init__(self) -> None:
        self._first: dict[str, str] = {}
        self._other: dict[str, str] = {}
        row, each = "{scheduled}", "{schedule}"
        self._add_first(SQL.unpublished, "{unpublished}", "{outbox}", "seq > ?", "seq")
        for lane in get_args(Lane):
            here = f"lane = '{lane}'"
            due = f"{here} AND due <= ?"
            self._add_first(SQL.due[lane], row, each, due, "due, id")
            self._add_first(SQL.doubted[lane], row, each, due, "deaths, due, id")
            self._add_next(SQL.next_due[lane], "due", here)
            self._add(SQL.waiting[lane])
        limited = "lane = 'call' AND until > 0"
        self._add_first(SQL.overdue, row, each, f"{limited} AND until < ?", "until, id")
        self._add_next(SQL.next_limit, "until", limited)
        for sql in (SQL.postponed, SQL.recall, SQL.release, SQL.let_go):
            self._add(sql)

    def of(self, sql: str, scope: Scope, values: Sequence[object]) -> tuple[str, Sequence[object]] | None:
        """Return the statement and its values, None for one that is about more than the rows of sagas."""
        if (found := self._first.get(sql)) is not None:
            return found, (*scope, *values, *values[-1:])
        if (found := self._other.get(sql)) is not None:
            return found, (*scope, *values)
        return None

    def _add_first(self, sql: str, columns: str, table: str, condition: str, order: str) -> None:
        self._first[sql] = POSTGRESQL.sql(
            f"SELECT {columns} FROM {_OWN.replace('%s', '?')} CROSS JOIN LATERAL (SELECT * FROM {table}"
            f" WHERE saga_type = own.type AND partition = own.number AND {condition}"
            f" ORDER BY {order} LIMIT ?) AS each ORDER BY {order} LIMIT ?"
        )

    def _add_next(self, sql: str, column: str, condition: str) -> None:
        self._other[sql] = (
            f"SELECT {column} FROM {_OWN} CROSS JOIN LATERAL (SELECT {column} FROM choreo.schedule"
            f" WHERE saga_type = own.type AND partition = own.number AND {condition}"
            f" ORDER BY {column} LIMIT 1) AS each ORDER BY {column} LIMIT 1"
        )

    def _add(self, sql: str) -> None:
        """Add a statement with one condition, whose values come after the partitions'."""
        before, _, condition = sql.partition(" WHERE ")
        condition, order, rest = condition.partition(" ORDER BY ")
        self._other[sql] = f"{before} WHERE {_IN} AND ({condition}){order}{rest}"


SCOPED = Scoped()
