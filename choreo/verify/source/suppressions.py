"""Finds suppressions in the source: ``# choreo: ignore[CHO204] reason``, at the handler of a finding."""

from __future__ import annotations

import re
import tokenize
from collections.abc import Iterator
from typing import NamedTuple

from choreo.manifest.manifest import Suppression
from choreo.verify.source.handlers import first_line, functions
from choreo.verify.source.module import FunctionNode, Module

_COMMENT = re.compile(r"#\s*choreo:\s*ignore(?:\[(?P<rules>[^\]]*)\])?\s*(?P<reason>.*)")


class Comment(NamedTuple):
    """One suppression in the source: its line, its rules (empty where it names none), and its reason."""

    line: int
    rules: tuple[str, ...]
    reason: str


def comments(text: str) -> Iterator[Comment]:
    """Return every suppression in a source text; a string that looks like one is none.

    >>> list(comments("x = 1  # choreo: ignore[CHO301, CHO303] the bank answers within a day"))
    [Comment(line=1, rules=('CHO301', 'CHO303'), reason='the bank answers within a day')]
    """
    if "choreo:" not in text:
        return
    try:
        for token in tokenize.generate_tokens(_lines(text).__next__):
            if token.type == tokenize.COMMENT and (found := _COMMENT.match(token.string)):
                rules = re.split(r"[,\s]+", (found["rules"] or "").strip())
                yield Comment(
                    token.start[0], tuple(rule.upper() for rule in rules if rule), found["reason"].strip()
                )
    except (tokenize.TokenError, SyntaxError):
        return  # not Python: whoever imports it says so


def _lines(text: str) -> Iterator[str]:
    """Yield the lines of a text as Python counts them; a form feed ends none."""
    yield from (f"{line}\n" for line in text.split("\n"))


def suppressions(module: Module) -> Iterator[Suppression]:
    """Return the suppressions in a module, each at the line of its function.

    A suppression belongs to a function when it is in its body, on one of its decorators, or in the comment
    right above. One that belongs to none keeps its own line, and is reported as unused.
    """
    for comment in comments("\n".join(module.lines)):
        place = f"{module.file}:{_line(module, comment)}"
        for rule in comment.rules or ("",):
            yield Suppression(rule, place, comment.reason)


def _line(module: Module, comment: Comment) -> int:
    around = [each for each, _ in functions(module) if _begin(module, each) <= comment.line <= _end(each)]
    return first_line(around[0]) if around else comment.line


def _begin(module: Module, function: FunctionNode) -> int:
    line = first_line(function)
    while line > 1 and module.lines[line - 2].lstrip().startswith("#"):
        line -= 1
    return line


def _end(function: FunctionNode) -> int:
    return function.end_lineno or function.lineno
