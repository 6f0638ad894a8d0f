"""SQLite's spelling of the statements that all stores have in common."""

from __future__ import annotations

from choreo.store.dialect import Dialect
from choreo.store.in_flight import Searches
from choreo.store.statements import Statements

SQLITE = Dialect(
    prefix="",
    store="choreo_store",
    mark="?",
    # Not in double quotes: SQLite would take the name of a column that an old store lacks for a text.
    left="[",
    right="]",
    empty="x''",
    as_bytes="CAST(? AS BLOB)",
    pairs="SELECT value ->> 0 AS a, value ->> 1 AS b FROM json_each(?)",
    triples="SELECT value ->> 0, value ->> 1, value ->> 2 FROM json_each(?)",
    texts="SELECT value FROM json_each(?)",
    begins="instr(step, ?) = 1",
)

SQL = Statements(SQLITE)
SEARCHES = Searches(SQLITE)
