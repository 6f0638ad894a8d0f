"""Finding the statements in a text of SQL, by PostgreSQL's lexical rules, as far as their first words."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache

_TOKEN = re.compile(
    r"""
    (?P<skip> \s+ | --[^\n]* | [eE]'(?:[^'\\]|\\.|'')*' | '(?:[^']|'')*' | "(?:[^"]|"")*" )
    | (?P<comment> /\* )
    | \$(?P<tag> (?:[^\W\d]\w*)? )\$
    | (?P<end> ; )
    | (?P<word> \w+ )
    | .
    """,
    re.VERBOSE | re.DOTALL,
)
_COMMENT = re.compile(r"/\*|\*/")
_FIRST_WORDS = 3

_SUSPECT = re.compile(
    r"\b(?:begin|start|commit|end|rollback|abort|prepare|set|reset|discard|listen|unlisten)\b", re.IGNORECASE
)
_ALWAYS = frozenset(("BEGIN", "START", "COMMIT", "END", "ABORT", "RESET", "DISCARD", "LISTEN", "UNLISTEN"))


@lru_cache(maxsize=1024)
def refused_in(text: str) -> str:
    """Return the first statement in a text that would end a turn or outlive it, empty where none would.

    >>> refused_in("INSERT INTO orders VALUES (%s); /* so */ commit")
    'COMMIT'
    >>> refused_in("SELECT 'COMMIT'; SAVEPOINT mine; ROLLBACK TO mine; SET LOCAL app.tenant = '7'")
    ''
    """
    if not _SUSPECT.search(text):
        return ""
    return next((refused for words in _statements(text) if (refused := _refused(words))), "")


def _refused(words: list[str]) -> str:
    first, rest = words[0] if words else "", words[1:]
    if first in _ALWAYS:
        return first
    if first == "ROLLBACK" and "TO" not in rest:  # ROLLBACK TO, ROLLBACK WORK TO
        return first
    if first == "PREPARE" and rest[:1] == ["TRANSACTION"]:
        return "PREPARE TRANSACTION"
    if first == "SET" and rest[:1] not in (["LOCAL"], ["CONSTRAINTS"]):
        return "SET" if not rest else f"SET {rest[0]}"
    return ""


def _statements(text: str) -> Iterator[list[str]]:
    """Yield the first words of each statement, in capitals."""
    words: list[str] = []
    at = 0
    while at < len(text):
        found = _TOKEN.match(text, at)
        assert found is not None  # any character matches
        at = found.end()
        if found["comment"]:
            at = _after_comment(text, at)
        elif found["tag"] is not None:
            at = _after(text, found[0], at)
        elif found["end"]:
            yield words
            words = []
        elif found["word"] and len(words) < _FIRST_WORDS:
            words.append(found["word"].upper())
    yield words


def _after(text: str, end: str, at: int) -> int:
    found = text.find(end, at)
    return len(text) if found < 0 else found + len(end)


def _after_comment(text: str, at: int) -> int:
    """Return where a comment ends, which may hold others."""
    depth = 1
    while depth:
        found = _COMMENT.search(text, at)
        if found is None:
            return len(text)
        depth += 1 if found[0] == "/*" else -1
        at = found.end()
    return at
