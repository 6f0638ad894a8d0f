"""``Scope``: the names that are visible in a function, with what is known of each."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import NamedTuple

from choreo.verify.source.module import FunctionNode, Module, bound, statements


class InstanceOf(NamedTuple):
    """A parameter, known by its annotation."""

    annotation: ast.expr


Bound = str | ast.expr | InstanceOf | FunctionNode
"""What a name may be bound to: an imported dotted name, a value, a parameter, or an inner function."""


class Scope(NamedTuple):
    """Where an expression stands: its module, the class around it, the names of the functions around it."""

    module: Module
    owner: str = ""
    names: dict[str, tuple[Bound, ...]] = {}  # noqa: RUF012 (never written to)

    def within(self, function: FunctionNode) -> Scope:
        """Return the scope inside a function; the names around it are visible, too."""
        return Scope(self.module, self.owner, self.names | _names(function, self))


def _names(function: FunctionNode, scope: Scope) -> dict[str, tuple[Bound, ...]]:
    found: dict[str, tuple[Bound, ...]] = {}
    for name, value in _bindings(function, scope):
        found[name] = (*found.get(name, ()), value)
    return found


def _bindings(function: FunctionNode, scope: Scope) -> Iterator[tuple[str, Bound]]:
    yield from _parameters(function, scope)
    for statement in statements(function.body):
        if isinstance(statement, FunctionNode):
            yield statement.name, statement
        else:
            yield from bound(statement, scope.module.package)
    for node in own_nodes(function):
        if isinstance(node, ast.NamedExpr):
            yield node.target.id, node.value


def _parameters(function: FunctionNode, scope: Scope) -> Iterator[tuple[str, Bound]]:
    given = function.args
    for number, argument in enumerate((*given.posonlyargs, *given.args, *given.kwonlyargs)):
        if argument.annotation is not None:
            yield argument.arg, InstanceOf(argument.annotation)
        elif number == 0 and scope.owner:
            is_class = any(isinstance(d, ast.Name) and d.id == "classmethod" for d in function.decorator_list)
            yield argument.arg, f"{scope.module.name}.{scope.owner}{'' if is_class else '()'}"
        else:
            yield argument.arg, ""


def own_nodes(function: FunctionNode) -> Iterator[ast.AST]:
    """Return every node of a function's body in the order of the lines, without those of inner functions."""
    waiting: list[ast.AST] = list(reversed(function.body))
    while waiting:
        node = waiting.pop()
        yield node
        if not isinstance(node, (FunctionNode, ast.ClassDef)):
            waiting.extend(reversed(list(ast.iter_child_nodes(node))))
