"""Handlers as they stand in the source, whether or not importing it registers them."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import NamedTuple

from choreo.manifest.manifest import Link
from choreo.verify.source.module import Module
from choreo.verify.source.origins import Origins
from choreo.verify.source.scope import Scope

_DECORATORS = {"action", "compensation", "observer", "deadline"}
_PARTICIPANT = {"choreo.Participant()", "choreo.participant.Participant()"}


class Declared(NamedTuple):
    """A decorated function: ``participant`` is the expression that made its decorator's participant."""

    participant: ast.Call
    name: str
    task: str
    line: int
    where: Link


def declared(origins: Origins, module: Module) -> Iterator[Declared]:
    """Give every function of a module that a participant's decorator stands on, nested ones too."""
    for function, decorator in module.decorated:
        if decorator.attr not in _DECORATORS:
            continue
        made = _participant(origins, decorator.value, module)
        if made:
            line = function.decorator_list[0].lineno
            where = Link(f"{module.file}:{line}", module.line(line))
            yield Declared(made, f"{_name(made)}.{function.name}", decorator.attr, line, where)


def _participant(origins: Origins, owner: ast.expr, module: Module) -> ast.Call | None:
    """Give the call that made the participant which an expression is."""
    scope = Scope(module)
    if origins.of(owner, scope) not in _PARTICIPANT:
        return None
    made = origins.declaration(owner, scope)
    return made if isinstance(made, ast.Call) else None


def _name(made: ast.Call) -> str:
    named = made.args[0] if made.args else None
    return str(named.value) if isinstance(named, ast.Constant) else "?"
