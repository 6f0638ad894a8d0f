"""``Subject``: a handler whose body is looked at, and where its function stands in the source."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import NamedTuple

from choreo.verify.source.module import FunctionNode, Module
from choreo.verify.source.scope import Scope


class Subject(NamedTuple):
    """One handler: what it is, where it stands, and what it declares that it emits, by full names.

    ``line`` is the first of its function, decorators included. ``inside``: it runs inside the local
    transaction. ``failures`` are those of ``emits`` that mean failure; the first is the answer that needs
    no ``return``.
    """

    name: str
    task: str
    module: str
    line: int
    inside: bool
    emits: tuple[str, ...]
    failures: tuple[str, ...] = ()

    @property
    def participant(self) -> str:
        """The name of the participant that declares it."""
        return self.name.partition(".")[0]

    @property
    def function(self) -> str:
        """The name of its function."""
        return self.name.partition(".")[2]


def find(module: Module, line: int) -> tuple[FunctionNode, Scope] | None:
    """Give the function that begins at a line, with its scope; None where the text has none there."""
    for function, scope in functions(module):
        if first_line(function) == line:
            return function, scope
    return None


def functions(module: Module) -> Iterator[tuple[FunctionNode, Scope]]:
    """Give every function of a module with its scope, outer ones first."""
    yield from _functions(module.tree.body, Scope(module))


def first_line(function: FunctionNode) -> int:
    """Give the line at which a function begins, its decorators included."""
    return min([function.lineno, *(decorator.lineno for decorator in function.decorator_list)])


def _functions(body: list[ast.stmt], scope: Scope) -> Iterator[tuple[FunctionNode, Scope]]:
    for statement in body:
        if isinstance(statement, FunctionNode):
            yield statement, scope
            yield from _functions(statement.body, scope.within(statement))
        elif isinstance(statement, ast.ClassDef):
            yield from _functions(statement.body, scope._replace(owner=statement.name))
        else:
            blocks = (getattr(statement, name, []) for name in ("body", "orelse", "finalbody"))
            for block in blocks:
                yield from _functions(block, scope)
            for handler in getattr(statement, "handlers", ()):
                yield from _functions(handler.body, scope)
