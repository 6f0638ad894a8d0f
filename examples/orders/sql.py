"""Statements that both kinds of store take, of which a handler has one as its ``ctx.db``."""

import re
from functools import lru_cache
from typing import Any


def execute(db: Any, sql: str, **values: object) -> Any:
    """Execute a statement by sqlite-utils, or by a connection of psycopg's; ``:total`` stands for a value."""
    if hasattr(db, "table"):
        return db.execute(sql, values)
    return db.execute(_of_psycopg(sql), values or None)


@lru_cache
def _of_psycopg(sql: str) -> str:
    return re.sub(r":(\w+)", r"%(\1)s", sql)
