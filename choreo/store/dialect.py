"""``Dialect``: how one database spells what the statements of all stores have in common."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import NamedTuple

from choreo.records import DeadLetter, Entry, Release, Scheduled, Unpublished

_TABLES = ("saga_log", "outbox", "schedule", "positions", "dead_letters", "releases", "sagas_in_flight")

NEW_LETTER = DeadLetter._fields[:-1]
"""The columns of a dead letter that is added; the database gives the id."""


class Dialect(NamedTuple):
    """The spelling of one database.

    ``prefix`` stands before the names of tables, ``store`` is the table with the one row about the store;
    ``mark`` stands for a value, ``left`` and ``right`` around the name of a column. ``empty`` is an empty
    value of bytes, ``as_bytes`` a text as bytes; ``pairs`` the rows of a JSON array of pairs, ``triples`` of
    triples, ``texts`` of texts; ``begins`` is whether a step begins with a text.
    """

    prefix: str
    store: str
    mark: str
    left: str
    right: str
    empty: str
    as_bytes: str
    pairs: str
    triples: str
    texts: str
    begins: str

    def columns(self, names: Iterable[str]) -> str:
        """Return a list of columns in SQL."""
        return ", ".join(f"{self.left}{name}{self.right}" for name in names)

    def sql(self, text: str) -> str:
        """Return a statement as the database takes it; names in braces are tables, or lists of columns."""
        return text.format_map(_words(self)).replace("?", self.mark)


@cache
def _words(dialect: Dialect) -> dict[str, str]:
    bodiless = {
        "key": "NULL",
        "headers": "'[]'",
        "value": "NULL",
        "edited": f"CASE WHEN edited IS NULL THEN NULL ELSE {dialect.empty} END",
        "result": "NULL",
    }
    return {
        **{table: dialect.prefix + table for table in _TABLES},
        "store": dialect.prefix + dialect.store,
        "entry": dialect.columns(Entry._fields),
        "unpublished": dialect.columns(Unpublished._fields),
        "scheduled": dialect.columns(Scheduled._fields),
        "letter": dialect.columns(DeadLetter._fields),
        "new_letter": dialect.columns(NEW_LETTER),
        "whole_letter": ", ".join("?" * len(DeadLetter._fields)),
        "letter_values": ", ".join("?" * len(NEW_LETTER)),
        "letter_heads": ", ".join(bodiless.get(name, dialect.columns([name])) for name in DeadLetter._fields),
        "release": dialect.columns(Release._fields),
        "as_bytes": dialect.as_bytes,
        "pairs": dialect.pairs,
        "triples": dialect.triples,
        "texts": dialect.texts,
        "begins": dialect.begins,
    }
