"""``Origins``: the dotted name of what an expression refers to, followed through the project's modules.

A call is written ``()``: after ``client = httpx.Client()``, ``client.post`` is ``httpx.Client().post``.
The origin is empty where the source doesn't show it; it is never guessed.
"""

from __future__ import annotations

import ast
import builtins
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

from choreo.verify.source.module import FunctionNode, Module
from choreo.verify.source.scope import Bound, InstanceOf, Scope, own_nodes

LONGEST = 12
"""The longest chain of calls, or of values, that effects and emissions are followed through."""

_OF_CHOREO = ("Context", "Participant")
"""What ``from choreo import *`` gives, as far as bodies are examined for it."""

_DEEPEST = 25
"""The number of names in a chain that are followed."""


class Defined(NamedTuple):
    """A function of the project, and the scope in which it is defined."""

    function: FunctionNode
    scope: Scope
    name: str


class Origins:
    """Origins of expressions, in the modules of a project."""

    def __init__(self, modules: Mapping[str, Module]) -> None:
        self._modules = modules
        self._known: dict[tuple[int, str], str] = {}
        self._kept: list[object] = []

    def of(self, expression: ast.expr, scope: Scope, depth: int = 0) -> str:
        """Return the dotted name of an expression's origin; empty where the source doesn't show it."""
        if depth > _DEEPEST:
            return ""
        match expression:
            case ast.Name(id=name):
                return self._of_name(name, scope, depth + 1)
            case ast.Attribute(value=value, attr=attribute):
                origin = self.of(value, scope, depth + 1)
                return self._followed(f"{origin}.{attribute}", depth + 1) if origin else ""
            case ast.Call(func=called):
                origin = self.of(called, scope, depth + 1)
                return self._followed(f"{origin}()", depth + 1) if origin else ""
            case ast.Await(value=value) | ast.NamedExpr(value=value):
                return self.of(value, scope, depth + 1)
        return ""

    def declaration(self, expression: ast.expr, scope: Scope, depth: int = 0) -> ast.expr | None:
        """Return the expression to which a name is bound first, in any module, or None."""
        if not isinstance(expression, ast.Name) or depth > _DEEPEST:
            return expression
        values = scope.names.get(expression.id) or (self._bound(scope.module, expression.id),)
        value = values[0]
        if isinstance(value, ast.expr):
            return self.declaration(value, scope, depth + 1)
        module, name = self._split(value) if isinstance(value, str) else (None, "")
        if module is None or not name:
            return None
        return self.declaration(ast.Name(name), Scope(module), depth + 1)

    def function(self, expression: ast.expr, scope: Scope) -> Defined | None:
        """Return the function of the project that is called: a function, a method, a class's ``__init__``."""
        if isinstance(expression, ast.Name):
            for value in scope.names.get(expression.id, ()):
                if isinstance(value, FunctionNode):
                    return Defined(value, scope, expression.id)
        return self.defined(self.of(expression, scope))

    def defined(self, origin: str) -> Defined | None:
        """Return the function of the project that has this origin; None where there is none."""
        module, rest = self._split(origin)
        if module is None:
            return None
        name = rest.replace("()", "")
        if name in module.classes:
            name = f"{name}.__init__"
        found = module.functions.get(name)
        if found is None:
            return None
        owner, _, short = name.rpartition(".")
        return Defined(found, Scope(module, owner), owner if short == "__init__" else name)

    def _of_name(self, name: str, scope: Scope, depth: int) -> str:
        if name in scope.names:
            return self._once(
                scope.names,
                name,
                lambda: (self._of_bound(value, scope, depth) for value in scope.names[name]),
            )
        module = scope.module
        if _is_own(module, name) or self._starred(module, name):
            return self._followed(f"{module.name}.{name}", depth)
        return name if hasattr(builtins, name) else ""

    def _of_bound(self, value: Bound, scope: Scope, depth: int) -> str:
        if isinstance(value, str):
            return self._followed(value, depth)
        if isinstance(value, InstanceOf):
            return self._instance(value.annotation, scope, depth)
        if isinstance(value, FunctionNode):
            return ""
        return self.of(value, scope, depth + 1)

    def _instance(self, annotation: ast.expr, scope: Scope, depth: int) -> str:
        origin = self.of(unquoted(annotation), scope._replace(names={}), depth)
        return f"{origin}()" if origin else ""

    def _followed(self, origin: str, depth: int) -> str:
        """Return an origin in which names that a module of the project imports or assigns are resolved."""
        if depth > _DEEPEST:
            return ""
        module, rest = self._split(origin)
        if module is None or not rest:
            return origin
        for length, (head, tail) in enumerate(_prefixes(rest)):
            name = head.replace("()", "")
            if self._bound(module, name):
                return self._joined(self._value(module, name, head, depth), tail, depth)
            made = self._made(module, head, length, depth)
            if made:
                return self._joined(made, tail, depth)
        return origin

    def _joined(self, origin: str, tail: str, depth: int) -> str:
        return self._followed(origin + tail, depth + 1) if origin else ""

    def _value(self, module: Module, name: str, head: str, depth: int) -> str:
        value = self._bound(module, name)
        owner = name.rpartition(".")[0]
        origin = value if isinstance(value, str) else self.of(value, Scope(module, owner), depth + 1)
        called = head[len(head.rstrip("()")) :]
        return self._followed(origin, depth + 1) + called if origin else ""

    def _bound(self, module: Module, name: str) -> str | ast.expr:
        """Return what an assignment or an import binds a module's global name to; empty for nothing."""
        return module.names.get(name) or ("" if _is_own(module, name) else self._starred(module, name))

    def _starred(self, module: Module, name: str, depth: int = 0) -> str:
        """Return the dotted name that ``from … import *`` binds to a name; empty where none does."""
        if depth > _DEEPEST or name.startswith("_"):
            return ""
        for star in module.stars:
            source = self._modules.get(star)
            if source is None:
                if star == "choreo" and name in _OF_CHOREO:
                    return f"{star}.{name}"
            elif _exports(source, name) and (_is_own(source, name) or self._starred(source, name, depth + 1)):
                return f"{star}.{name}"
        return ""

    def _made(self, module: Module, head: str, length: int, depth: int) -> str:
        """Return the origin of a function's result, or of an attribute that a class sets on ``self``."""
        name = head.replace("()", "")
        function = module.functions.get(name)
        if function is not None and head.endswith("()"):
            owner = name.rpartition(".")[0]
            return self._returned(function, Scope(module, owner), depth)
        owner, _, attribute = name.rpartition(".")
        if length and owner in module.classes and function is None:
            return self._attribute(module, owner, attribute, depth)
        return ""

    def _returned(self, function: FunctionNode, scope: Scope, depth: int) -> str:
        if function.returns is not None:
            return self._instance(function.returns, scope, depth)
        inner = scope.within(function)
        values = (node.value for node in own_nodes(function) if isinstance(node, ast.Return) and node.value)
        return self._once(function, "", lambda: (self.of(value, inner, depth + 1) for value in values))

    def _attribute(self, module: Module, owner: str, attribute: str, depth: int) -> str:
        def found() -> Iterator[str]:
            for name, method in module.functions.items():
                if name.rpartition(".")[0] != owner:
                    continue
                for node in own_nodes(method):
                    if isinstance(node, ast.Assign) and any(
                        _is_of_self(each, attribute) for each in node.targets
                    ):
                        yield self.of(node.value, Scope(module, owner).within(method), depth + 1)

        return self._once(module, f"{owner}.{attribute}", found)

    def _once(self, about: object, name: str, compute: Callable[[], Iterator[str]]) -> str:
        """Return the first origin that is known, computed once; what refers to itself has none."""
        key = (id(about), name)
        if key not in self._known:
            self._kept.append(about)  # or its id could become another's
            self._known[key] = ""
            self._known[key] = next(filter(None, compute()), "")
        return self._known[key]

    def _split(self, origin: str) -> tuple[Module | None, str]:
        """Return the module of the project with which an origin begins, and the rest."""
        for head, tail in reversed(list(_prefixes(origin))):
            if head in self._modules:
                return self._modules[head], tail.removeprefix(".")
        return None, ""


def unquoted(annotation: ast.expr) -> ast.expr:
    """Return an annotation without quotes, ``| None`` and ``Optional``."""
    match annotation:
        case ast.Constant(value=str(text)):
            try:
                return unquoted(ast.parse(text, mode="eval").body)
            except (SyntaxError, ValueError):
                return annotation
        case ast.BinOp(left=left, op=ast.BitOr(), right=ast.Constant(value=None)):
            return unquoted(left)
        case ast.Subscript(value=ast.Name(id="Optional")):
            return unquoted(annotation.slice)
    return annotation


def _is_own(module: Module, name: str) -> bool:
    """Whether a module itself defines, assigns or imports a name."""
    return name in module.functions or name in module.classes or name in module.names


def _exports(module: Module, name: str) -> bool:
    """Whether ``from … import *`` takes a name: one that ``__all__`` has, where that is a plain list."""
    listed = module.names.get("__all__")
    if not isinstance(listed, (ast.List, ast.Tuple)):
        return True
    return any(isinstance(each, ast.Constant) and each.value == name for each in listed.elts)


def _is_of_self(target: ast.expr, attribute: str) -> bool:
    return (
        isinstance(target, ast.Attribute)
        and target.attr == attribute
        and isinstance(target.value, ast.Name)
        and target.value.id == "self"
    )


def _prefixes(origin: str) -> Iterator[tuple[str, str]]:
    """Return each beginning of a dotted name, with the rest."""
    parts = origin.split(".")
    for count in range(1, len(parts) + 1):
        head = ".".join(parts[:count])
        yield head, origin[len(head) :]
