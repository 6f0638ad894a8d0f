"""Suppressions in the source: ``# choreo: ignore[CHO204] reason``, at the handler that a finding is about."""

from __future__ import annotations

import re
import tokenize
from collections.abc import Iterator
from typing import NamedTuple

_COMMENT = re.compile(r"#\s*choreo:\s*ignore(?:\[(?P<rules>[^\]]*)\])?\s*(?P<reason>.*)")


class Comment(NamedTuple):
    """One suppression as it is written: at which line, of which rules (none: it names none), and why."""

    line: int
    rules: tuple[str, ...]
    reason: str


def comments(text: str) -> Iterator[Comment]:
    """Give every suppression in a source text; what only looks like one, in a string, is none.

    >>> list(comments("x = 1  # choreo: ignore[CHO301, CHO303] the bank answers within a day"))
    [Comment(line=1, rules=('CHO301', 'CHO303'), reason='the bank answers within a day')]
    """
    if "choreo:" not in text:
        return
    try:
        for token in tokenize.generate_tokens(iter(text.splitlines(keepends=True)).__next__):
            if token.type == tokenize.COMMENT and (found := _COMMENT.match(token.string)):
                rules = re.split(r"[,\s]+", (found["rules"] or "").strip())
                yield Comment(
                    token.start[0], tuple(rule.upper() for rule in rules if rule), found["reason"].strip()
                )
    except (tokenize.TokenError, SyntaxError):
        return  # not Python: whoever imports it says so
