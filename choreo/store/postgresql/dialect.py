"""PostgreSQL's spelling of the statements that all stores have in common."""

from __future__ import annotations

from choreo.store.dialect import Dialect
from choreo.store.in_flight import Searches
from choreo.store.statements import Statements

# Tables are named with their schema, as the search path is the handlers' own.
POSTGRESQL = Dialect(
    prefix="choreo.",
    store="store",
    mark="%s",
    left='"',
    right='"',
    empty="''::bytea",
    as_bytes="convert_to(?, 'UTF8')",
    pairs="SELECT value ->> 0, value ->> 1 FROM json_array_elements(?::json)",
    triples="SELECT value ->> 0, value ->> 1, value ->> 2 FROM json_array_elements(?::json)",
    texts="SELECT json_array_elements_text(?::json)",
    begins="starts_with(step, ?)",
)

SQL = Statements(POSTGRESQL)
SEARCHES = Searches(POSTGRESQL)
