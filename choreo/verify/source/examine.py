"""``examine``: finds remarks on handlers, and suppressions, in the source of one participant."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import NamedTuple

from choreo.manifest import Suppression
from choreo.manifest.manifest import Link, Remark
from choreo.verify.source.effects import Effect, effects_of, nondeterministic, outside
from choreo.verify.source.emissions import Emission, emissions_of
from choreo.verify.source.handlers import (
    DeclaredHandler,
    RegisteredHandler,
    declared_handlers,
    functions_by_line,
)
from choreo.verify.source.module import FunctionNode, Module, Modules, Source
from choreo.verify.source.origins import Origins
from choreo.verify.source.scope import Scope
from choreo.verify.source.suppressions import suppressions

_LONGEST_HEAD = 500
"""Characters of a decorator beyond which it is not kept."""


class Examined(NamedTuple):
    """The result for one participant: remarks on the bodies of its handlers, and suppressions.

    ``heads`` are the decorators of compensations that have ``on=``, as they read without it, by handler.
    """

    remarks: tuple[Remark, ...]
    suppressions: tuple[Suppression, ...]
    heads: Mapping[str, str] = {}


def examine(
    sources: Mapping[str, Source], handlers: Sequence[RegisteredHandler], events: Mapping[str, str]
) -> Examined:
    """Examine the bodies of one participant's handlers, and the functions of its project that they call.

    ``sources`` are the project's modules by name, looked up only as far as they are needed; ``events`` maps
    event classes, by their dotted Python names, to the events' full names. Nothing is imported or run.
    Raises `ConfigurationError` where a source is not Python.
    """
    return Reader(sources).examine(handlers, events)


class Reader:
    """Examines several participants of one project; each module is read once for all of them."""

    def __init__(self, sources: Mapping[str, Source]) -> None:
        self._modules = Modules(sources)
        self._origins = Origins(self._modules)
        self._functions: dict[str, dict[int, tuple[FunctionNode, Scope]]] = {}
        self._declared: dict[str, list[DeclaredHandler]] = {}
        self._suppressions: dict[str, list[Suppression]] = {}

    def examine(self, handlers: Sequence[RegisteredHandler], events: Mapping[str, str]) -> Examined:
        """Examine the bodies of one participant's handlers, as `examine` does."""
        known = [handler for handler in handlers if handler.module in self._modules]
        remarks = [remark for handler in known for remark in self._of_handler(handler, events)]
        remarks += self._unregistered(handlers)
        modules = dict.fromkeys(handler.module for handler in known)
        heads = {handler.name: head for handler in known if (head := self._head(handler))}
        suppressed = (each for name in modules for each in self._suppressed(name))
        return Examined(tuple(remarks), tuple(suppressed), heads)

    def _head(self, handler: RegisteredHandler) -> str:
        """Return a compensation's decorator without ``on=``; empty where it has none, or two."""
        found = self._functions_of(handler.module).get(handler.line)
        decorators = found[0].decorator_list if found else []
        call = decorators[0] if len(decorators) == 1 else None
        if handler.task != "compensation" or not isinstance(call, ast.Call):
            return ""
        kept = [keyword for keyword in call.keywords if keyword.arg != "on"]
        if len(kept) == len(call.keywords):
            return ""
        head = f"@{ast.unparse(ast.Call(call.func, call.args, kept))}"
        return head if head.isprintable() and len(head) <= _LONGEST_HEAD else ""

    def _of_handler(self, handler: RegisteredHandler, events: Mapping[str, str]) -> Iterator[Remark]:
        module, origins = self._modules[handler.module], self._origins
        found = self._functions_of(handler.module).get(handler.line)
        if found is None:
            return
        function, scope = found
        if not _is_stub(function):
            yield from _emissions(handler, emissions_of(origins, function, scope, events), module)
        if handler.inside:
            yield from _effects("CHO605", handler, effects_of(origins, function, scope, outside))
        yield from _effects("CHO606", handler, effects_of(origins, function, scope, nondeterministic))

    def _functions_of(self, name: str) -> dict[int, tuple[FunctionNode, Scope]]:
        if name not in self._functions:
            self._functions[name] = functions_by_line(self._modules[name])
        return self._functions[name]

    def _declared_in(self, name: str) -> list[DeclaredHandler]:
        if name not in self._declared:
            self._declared[name] = list(declared_handlers(self._origins, self._modules[name]))
        return self._declared[name]

    def _suppressed(self, name: str) -> list[Suppression]:
        if name not in self._suppressions:
            self._suppressions[name] = list(suppressions(self._modules[name]))
        return self._suppressions[name]

    def _unregistered(self, handlers: Sequence[RegisteredHandler]) -> Iterator[Remark]:
        """Return the decorated functions of this very participant, in its packages, that are not registered.

        A participant of the same name that another module makes is a different one.
        """
        known = {(handler.module, handler.line) for handler in handlers}
        near = self._modules.in_packages_of({handler.module for handler in handlers})
        found = [(name, each) for name in near for each in self._declared_in(name)]
        own = {id(each.participant) for name, each in found if (name, each.line) in known}
        for name, each in found:
            if id(each.participant) in own and (name, each.line) not in known:
                yield Remark("CHO604", each.name, each.where, each.task)


def _is_stub(function: FunctionNode) -> bool:
    """Whether a body is left out: it is a docstring, ``...``, ``pass``, or only raises."""
    return all(
        isinstance(each, (ast.Pass, ast.Raise))
        or (isinstance(each, ast.Expr) and isinstance(each.value, ast.Constant))
        for each in function.body
    )


def _effects(rule: str, handler: RegisteredHandler, effects: list[Effect]) -> Iterator[Remark]:
    """Return one remark for a handler: its nearest effect, with its chain and the places of the others."""
    if effects:
        first = effects[0]
        others = tuple(Link(each.chain[0].place, f"and {each.origin}") for each in effects[1:])
        yield Remark(rule, handler.name, first.chain[0], first.origin, first.what, first.chain[1:] + others)


def _emissions(handler: RegisteredHandler, results: list[Emission], module: Module) -> Iterator[Remark]:
    declared = set(handler.emits)
    for (event, what), same in groupby(sorted(results), key=lambda each: each[:2]):
        chain = next(same).chain
        if event and event not in declared:
            yield Remark("CHO601", handler.name, chain[0], event, "", chain[1:])
        elif what and not (what == "None" and not declared):
            yield Remark("CHO601", handler.name, chain[0], what, "", chain[1:])
        elif not event and not what and declared:
            yield Remark("CHO603", handler.name, chain[0], "", "", chain[1:])
    if all(each.event or each.what for each in results):
        yield from _never_returned(handler, {each.event for each in results}, module)


def _never_returned(handler: RegisteredHandler, returned: set[str], module: Module) -> Iterator[Remark]:
    """Return what is declared and never returned; the first failure is the runtime's answer, too."""
    for event in handler.emits:
        if event not in returned and event not in handler.failures[:1]:
            yield Remark("CHO602", handler.name, module.link(handler.line), event, "", ())
