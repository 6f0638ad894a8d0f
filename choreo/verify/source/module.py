"""``Module``: the names of one source file, and what each of them is; parsed, never imported."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import NamedTuple

from choreo.errors import ConfigurationError

FunctionNode = ast.FunctionDef | ast.AsyncFunctionDef

MAX_CHARACTERS = 2_000_000
"""The length beyond which a source file is not looked into."""


class Source(NamedTuple):
    """The text of one module, loaded by whoever may read files; ``file`` is how reports call it."""

    module: str
    file: str
    text: str

    @property
    def is_package(self) -> bool:
        """Say whether it is a package's own module."""
        return self.file.endswith("__init__.py")


class Module:
    """One parsed file: its functions and classes by qualified name, its other names by what they are bound to.

    Raises `ConfigurationError` for text that isn't Python.
    """

    def __init__(self, source: Source) -> None:
        self.name = source.module
        self.file = source.file
        self.package = source.module if source.is_package else source.module.rpartition(".")[0]
        self.lines = source.text.splitlines()
        self.functions: dict[str, FunctionNode] = {}
        self.classes: dict[str, ast.ClassDef] = {}
        self.names: dict[str, str | ast.expr] = {}
        self.tree = _parsed(source)
        self._take(self.tree.body, "")

    def line(self, number: int) -> str:
        """Give a line as it is written, without its indentation; empty where there is none."""
        return self.lines[number - 1].strip() if 0 < number <= len(self.lines) else ""

    def _take(self, body: list[ast.stmt], prefix: str) -> None:
        for statement in statements(body):
            if isinstance(statement, FunctionNode):
                self.functions[prefix + statement.name] = statement
            elif isinstance(statement, ast.ClassDef):
                self.classes[prefix + statement.name] = statement
                self._take(statement.body, f"{prefix}{statement.name}.")
            else:
                self.names.update((prefix + name, value) for name, value in bound(statement, self.package))


def _parsed(source: Source) -> ast.Module:
    try:
        return ast.parse(source.text if len(source.text) <= MAX_CHARACTERS else "")
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise ConfigurationError(
            f"{source.file}:{getattr(error, 'lineno', None) or 1}: not Python: {error}",
            hint="correct the file",
        ) from None


def statements(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """Give the statements of a block and of the blocks in it, but not those of functions and classes."""
    for statement in body:
        yield statement
        if isinstance(statement, (FunctionNode, ast.ClassDef)):
            continue
        for block in ("body", "orelse", "finalbody"):
            yield from statements(getattr(statement, block, []))
        for arm in (*getattr(statement, "handlers", ()), *getattr(statement, "cases", ())):
            yield from statements(arm.body)


def bound(statement: ast.stmt, package: str) -> Iterator[tuple[str, str | ast.expr]]:
    """Give the names that a statement binds, each with a dotted name or with the expression that it gets."""
    match statement:
        case ast.Import():
            for alias in statement.names:
                yield alias.asname or alias.name.partition(".")[0], (
                    alias.name if alias.asname else alias.name.partition(".")[0]
                )
        case ast.ImportFrom():
            for alias in statement.names:
                yield alias.asname or alias.name, f"{_absolute(statement, package)}.{alias.name}"
        case ast.Assign():
            for target in statement.targets:
                if isinstance(target, ast.Name):
                    yield target.id, statement.value
        case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value):
            yield name, value
        case ast.With() | ast.AsyncWith():
            for item in statement.items:
                if isinstance(item.optional_vars, ast.Name):
                    yield item.optional_vars.id, item.context_expr


def _absolute(statement: ast.ImportFrom, package: str) -> str:
    """Give the module that is imported from, by its full name."""
    if not statement.level:
        return statement.module or ""
    parts = package.split(".")
    above = parts[: len(parts) - statement.level + 1]
    return ".".join([*above, *([statement.module] if statement.module else [])])
