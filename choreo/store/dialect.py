"""``Dialect``: how one database spells what the statements of all stores have in common."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from choreo.records import DeadLetter, Entry, Release, Scheduled, Unpublished

_TABLES = ("saga_log", "outbox", "schedule", "positions", "dead_letters", "releases")

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
        return text.format_map(self._words()).replace("?", self.mark)

    def _words(self) -> dict[str, str]:
        bodiless = {
            "key": "NULL",
            "headers": "'[]'",
            "value": "NULL",
            "edited": f"CASE WHEN edited IS NULL THEN NULL ELSE {self.empty} END",
            "result": "NULL",
        }
        return {
            **{table: self.prefix + table for table in _TABLES},
            "store": self.prefix + self.store,
            "entry": self.columns(Entry._fields),
            "unpublished": self.columns(Unpublished._fields),
            "scheduled": self.columns(Scheduled._fields),
            "letter": self.columns(DeadLetter._fields),
            "new_letter": self.columns(NEW_LETTER),
            "whole_letter": ", ".join("?" * len(DeadLetter._fields)),
            "letter_values": ", ".join("?" * len(NEW_LETTER)),
            "letter_heads": ", ".join(
                bodiless.get(name, self.columns([name])) for name in DeadLetter._fields
            ),
            "release": self.columns(Release._fields),
            "as_bytes": self.as_bytes,
            "pairs": self.pairs,
            "triples": self.triples,
            "texts": self.texts,
            "begins": self.begins,
        }
