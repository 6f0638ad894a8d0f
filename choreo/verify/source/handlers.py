"""Finds handlers in the source of a project: those that an import registered, and all that are declared."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import NamedTuple

from choreo.manifest.manifest import Link
from choreo.verify.source.module import FunctionNode, Module
from choreo.verify.source.origins import Origins
from choreo.verify.source.scope import Scope

_DECORATORS = {"action", "compensation", "observer", "deadline"}
_PARTICIPANT = {"choreo.Participant()", "choreo.participant.Participant()"}


class RegisteredHandler(NamedTuple):
    """A handler of a participant that was imported, and where its function stands.

    ``line`` is the first of its function, decorators included. ``inside`` says that it runs inside the local
    transaction. ``emits`` are the full names of the events that it declares, ``failures`` those of them that
    mean failure: the first of these also answers a refusal, so no ``return`` need name it.
    """

    name: str
    task: str
    module: str
    line: int
    inside: bool
    emits: tuple[str, ...]
    failures: tuple[str, ...] = ()


class DeclaredHandler(NamedTuple):
    """A function with a participant's decorator, whether or not importing its module registers it.

    ``participant`` is the call that made the participant.
    """

    participant: ast.Call
    name: str
    task: str
    line: int
    where: Link


def declared_handlers(origins: Origins, module: Module) -> Iterator[DeclaredHandler]:
    """Return every function of a module that has a participant's decorator, nested functions too."""
    for function, decorator in module.decorated:
        if decorator.attr not in _DECORATORS:
            continue
        made = _participant(origins, decorator.value, module)
        if made:
            line = function.decorator_list[0].lineno
            name = f"{_name(made)}.{function.name}"
            yield DeclaredHandler(made, name, decorator.attr, line, module.link(line))


def _participant(origins: Origins, owner: ast.expr, module: Module) -> ast.Call | None:
    """Return the call that made the participant to which an expression refers."""
    scope = Scope(module)
    if origins.of(owner, scope) not in _PARTICIPANT:
        return None
    made = origins.declaration(owner, scope)
    return made if isinstance(made, ast.Call) else None


def _name(made: ast.Call) -> str:
    named = made.args[0] if made.args else None
    return str(named.value) if isinstance(named, ast.Constant) else "?"


def functions_by_line(module: Module) -> dict[int, tuple[FunctionNode, Scope]]:
    """Return the functions of a module with their scopes, by the lines at which they begin."""
    found: dict[int, tuple[FunctionNode, Scope]] = {}
    for function, scope in functions(module):
        found.setdefault(first_line(function), (function, scope))
    return found


def functions(module: Module) -> Iterator[tuple[FunctionNode, Scope]]:
    """Return every function of a module with its scope, outer ones first."""
    yield from _functions(module.tree.body, Scope(module))


def first_line(function: FunctionNode) -> int:
    """Return the line at which a function begins, its decorators included."""
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
