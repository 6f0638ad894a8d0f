"""The events that a handler may return, followed through the functions of its project."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from choreo.manifest.manifest import Link
from choreo.verify.source.module import FunctionNode
from choreo.verify.source.origins import LONGEST, Defined, Origins, unquoted
from choreo.verify.source.scope import InstanceOf, Scope, own_nodes

_SAME = {"dataclasses.replace", "copy.copy", "copy.deepcopy", "copy.replace"}
"""Functions that return what their first argument is."""


class Emission(NamedTuple):
    """One thing that may be returned: an ``event`` by its full name, or else ``what`` it is instead.

    Both are empty where the source doesn't show it. ``chain`` are the lines that lead to it.
    """

    event: str
    what: str
    chain: tuple[Link, ...]


def emissions_of(
    origins: Origins, function: FunctionNode, scope: Scope, events: Mapping[str, str]
) -> list[Emission]:
    """Return all that a function may return; ``events`` maps dotted names of classes to full event names."""
    return list(_Walk(origins, events).through(Defined(function, scope, function.name), ()))


class _Walk:
    def __init__(self, origins: Origins, events: Mapping[str, str]) -> None:
        self._origins = origins
        self._events = events
        self._seen: set[int] = set()

    def through(self, where: Defined, chain: tuple[Link, ...]) -> Iterator[Emission]:
        """Return what each ``return`` of a function may return."""
        if id(where.function) in self._seen or len(chain) > LONGEST:
            return
        self._seen.add(id(where.function))
        scope = where.scope.within(where.function)
        for node in own_nodes(where.function):
            if isinstance(node, ast.Return):
                yield from self._value(node.value, scope, (*chain, scope.module.link(node.lineno)))
        self._seen.discard(id(where.function))

    def _value(
        self, value: ast.expr | None, scope: Scope, chain: tuple[Link, ...], depth: int = 0
    ) -> Iterator[Emission]:
        if depth > LONGEST:
            yield Emission("", "", chain)
            return
        if isinstance(value, (ast.Await, ast.NamedExpr)):
            yield from self._value(value.value, scope, chain, depth + 1)
        elif isinstance(value, (ast.IfExp, ast.BoolOp)):
            for each in _choices(value):
                yield from self._value(each, scope, chain, depth + 1)
        elif isinstance(value, ast.Call):
            yield from self._call(value, scope, chain, depth)
        elif isinstance(value, ast.Name):
            yield from self._name(value.id, scope, chain, depth)
        else:
            yield Emission("", _title(value), chain)

    def _name(self, name: str, scope: Scope, chain: tuple[Link, ...], depth: int) -> Iterator[Emission]:
        values = scope.names.get(name, ("",))
        for value in values:
            if isinstance(value, InstanceOf):
                yield from self._annotated(value.annotation, scope, chain)
            elif isinstance(value, ast.expr):
                yield from self._value(value, scope, chain, depth + 1)
            else:
                yield Emission("", "", chain)

    def _call(self, call: ast.Call, scope: Scope, chain: tuple[Link, ...], depth: int) -> Iterator[Emission]:
        origin = self._origins.of(call.func, scope)
        if origin in self._events:
            yield Emission(self._events[origin], "", chain)
        elif origin == "typing.cast" and call.args:
            yield from self._annotated(call.args[0], scope, chain)
        elif origin in _SAME and call.args:
            yield from self._value(call.args[0], scope, chain, depth + 1)
        else:
            yield from self._function(call, origin, scope, chain)

    def _function(
        self, call: ast.Call, origin: str, scope: Scope, chain: tuple[Link, ...]
    ) -> Iterator[Emission]:
        """Return what a called function may return, by its body or else by its annotation."""
        defined = self._origins.function(call.func, scope)
        if defined is None:
            maker = self._events.get(origin.rpartition(".")[0], "")  # a class method of an event
            yield Emission(maker, "", chain)
            return
        found = list(self.through(defined, chain))
        if found and all(each.event or each.what for each in found):
            yield from found
        elif defined.function.returns is not None:
            yield from self._annotated(defined.function.returns, defined.scope, chain)
        else:
            yield Emission("", "", chain)

    def _annotated(self, annotation: ast.expr, scope: Scope, chain: tuple[Link, ...]) -> Iterator[Emission]:
        plain = unquoted(annotation)
        if isinstance(plain, ast.BinOp):
            yield from self._annotated(plain.left, scope, chain)
            yield from self._annotated(plain.right, scope, chain)
        elif isinstance(plain, ast.Subscript) and isinstance(plain.slice, ast.expr):
            yield from self._annotated(plain.slice, scope, chain)  # Earlier[X], Optional[X]
        else:
            origin = self._origins.of(plain, scope._replace(names={}))
            yield Emission(self._events.get(origin, ""), "", chain)


def _choices(value: ast.IfExp | ast.BoolOp) -> list[ast.expr]:
    return [value.body, value.orelse] if isinstance(value, ast.IfExp) else value.values


def _title(value: ast.expr | None) -> str:
    """Return what a value is that is no event; empty where the source doesn't show it."""
    if value is None or (isinstance(value, ast.Constant) and value.value is None):
        return "None"
    if isinstance(value, ast.Constant):
        return f"a {type(value.value).__name__}"
    literals = {ast.Dict: "a dict", ast.List: "a list", ast.Tuple: "a tuple", ast.JoinedStr: "a str"}
    return literals.get(type(value), "")
