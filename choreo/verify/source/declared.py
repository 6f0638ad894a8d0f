"""Handlers as they stand in the source, whether or not importing it registers them."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import NamedTuple

from choreo.verify.source.module import FunctionNode, Module
from choreo.verify.source.origins import Origins
from choreo.verify.source.scope import Scope

_DECORATORS = {"action", "compensation", "observer", "deadline"}
_PARTICIPANT = {"choreo.Participant()", "choreo.participant.Participant()"}


class Declared(NamedTuple):
    """A decorated function: ``participant`` is the name that its decorator's participant has in the
    source."""

    participant: str
    function: str
    task: str
    place: str
    text: str


def declared(origins: Origins, module: Module) -> Iterator[Declared]:
    """Give every function of a module that a participant's decorator stands on, nested ones too."""
    for node in ast.walk(module.tree):
        if isinstance(node, FunctionNode):
            for decorator in node.decorator_list:
                called = decorator.func if isinstance(decorator, ast.Call) else decorator
                if isinstance(called, ast.Attribute) and called.attr in _DECORATORS:
                    name = _participant(origins, called.value, module)
                    if name:
                        line = node.decorator_list[0].lineno
                        place = f"{module.file}:{line}"
                        yield Declared(name, node.name, called.attr, place, module.line(line))


def _participant(origins: Origins, owner: ast.expr, module: Module) -> str:
    """Give the name of the participant that an expression is, as its declaration says it."""
    scope = Scope(module)
    if origins.of(owner, scope) not in _PARTICIPANT:
        return ""
    call = origins.declaration(owner, scope)
    if isinstance(call, ast.Call) and call.args and isinstance(call.args[0], ast.Constant):
        return str(call.args[0].value)
    return ""
