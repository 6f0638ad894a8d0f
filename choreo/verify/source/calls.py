"""What a handler calls, through the functions of its project: each forbidden call with the chain that leads
to it."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from typing import NamedTuple

from choreo.manifest.manifest import Link
from choreo.verify.source.module import FunctionNode
from choreo.verify.source.origins import Defined, Origins
from choreo.verify.source.scope import Scope, own_nodes

_LONGEST = 12
"""Calls of calls beyond this are not followed."""

Judge = Callable[[str, ast.Call], str]
"""Says what is wrong with calling what has this origin; empty where nothing is."""


class Reached(NamedTuple):
    """A forbidden call: its dotted name, what is wrong with it, and the calls that lead to it."""

    origin: str
    what: str
    chain: tuple[Link, ...]


def reached(origins: Origins, function: FunctionNode, scope: Scope, judge: Judge) -> list[Reached]:
    """Give every forbidden call that a function leads to, the nearest first."""
    return list(_Walk(origins, judge).through(Defined(function, scope, function.name), ()))


class _Walk:
    def __init__(self, origins: Origins, judge: Judge) -> None:
        self._origins = origins
        self._judge = judge
        self._seen: set[int] = set()

    def through(self, where: Defined, chain: tuple[Link, ...]) -> Iterator[Reached]:
        if id(where.function) in self._seen or len(chain) > _LONGEST:
            return
        self._seen.add(id(where.function))
        scope = where.scope.within(where.function)
        inner: list[tuple[Defined, tuple[Link, ...]]] = []
        for call in own_nodes(where.function):
            if not isinstance(call, ast.Call):
                continue
            link = (*chain, _link(call, scope))
            yield from self._forbidden(call, scope, link)
            inner += [(each, link) for each in self._called(call, scope)]
        for defined, link in inner:
            yield from self.through(defined, link)

    def _forbidden(self, call: ast.Call, scope: Scope, chain: tuple[Link, ...]) -> Iterator[Reached]:
        for named in _named(call):
            origin = self._origins.of(named, scope)
            what = self._judge(origin, call) if origin else ""
            if what:
                yield Reached(origin, what, chain)

    def _called(self, call: ast.Call, scope: Scope) -> Iterator[Defined]:
        for named in _named(call):
            defined = self._origins.function(named, scope)
            if defined is not None:
                yield defined


def _named(call: ast.Call) -> Iterator[ast.expr]:
    """Give what is called, and what is given to be called: ``submit(requests.post, …)``."""
    yield call.func
    for argument in (*call.args, *(keyword.value for keyword in call.keywords)):
        if isinstance(argument, (ast.Name, ast.Attribute)):
            yield argument


def _link(call: ast.Call, scope: Scope) -> Link:
    return Link(f"{scope.module.file}:{call.lineno}", scope.module.line(call.lineno))
