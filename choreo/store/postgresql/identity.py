"""``Identity``: what tells a store from every other one, also from a copy on the same server."""

from __future__ import annotations

from typing import NamedTuple


class Identity(NamedTuple):
    """The random id of a store, which a copy of the database keeps, and the number of its database."""

    store_id: str
    database: int


IDENTITY = "store_id, (SELECT oid::bigint FROM pg_database WHERE datname = current_database())"
"""The columns of an identity, in a SELECT from the store's one row."""
