"""``Module``: one source file, parsed and never imported: its functions, classes and other names."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping, Set
from functools import cached_property, lru_cache
from typing import NamedTuple

from choreo.errors import ConfigurationError
from choreo.manifest.manifest import Link

FunctionNode = ast.FunctionDef | ast.AsyncFunctionDef

MAX_CHARACTERS = 2_000_000
"""The length beyond which a source file is not parsed."""

_LINE_END = re.compile(r"\r\n|\r|\n")
"""What ends a line of Python; `str.splitlines` also ends one at a form feed."""

_WIDEST = 120
"""Characters of a line that a report shows."""


class Source(NamedTuple):
    """The text of one module, read by the caller; ``file`` is its path in reports."""

    module: str
    file: str
    text: str

    @property
    def is_package(self) -> bool:
        """Whether it is the ``__init__`` of a package."""
        return self.file.endswith("__init__.py")


class Module:
    """One parsed file: its functions and classes by qualified name, its other names with their values.

    Raises `ConfigurationError` for text that isn't Python.
    """

    def __init__(self, source: Source) -> None:
        self.name = source.module
        self.file = source.file
        self.package = source.module if source.is_package else source.module.rpartition(".")[0]
        self.lines = _LINE_END.split(source.text)
        self.functions: dict[str, FunctionNode] = {}
        self.classes: dict[str, ast.ClassDef] = {}
        self.names: dict[str, str | ast.expr] = {}
        self.stars: list[str] = []
        self.tree = _parsed(source)
        self._take(self.tree.body, "")

    def link(self, number: int) -> Link:
        """Return the place of a line, and its text with single spaces and no control characters."""
        text = self.lines[number - 1] if 0 < number <= len(self.lines) else ""
        shown = "".join(each for each in " ".join(text.split())[:_WIDEST] if each.isprintable())
        return Link(f"{self.file}:{number}", shown)

    @cached_property
    def decorated(self) -> tuple[tuple[FunctionNode, ast.Attribute], ...]:
        """Every function with a decorator that is an attribute of something, as a participant's are."""
        found: list[tuple[FunctionNode, ast.Attribute]] = []
        for node in ast.walk(self.tree):
            if isinstance(node, FunctionNode):
                called = (each.func if isinstance(each, ast.Call) else each for each in node.decorator_list)
                found += [(node, each) for each in called if isinstance(each, ast.Attribute)]
        return tuple(found)

    def _take(self, body: list[ast.stmt], prefix: str) -> None:
        for statement in statements(body):
            if isinstance(statement, FunctionNode):
                self.functions[prefix + statement.name] = statement
            elif isinstance(statement, ast.ClassDef):
                self.classes[prefix + statement.name] = statement
                self._take(statement.body, f"{prefix}{statement.name}.")
            elif isinstance(statement, ast.ImportFrom) and statement.names[0].name == "*":
                self.stars.insert(0, _absolute(statement, self.package))
            else:
                self.names.update((prefix + name, value) for name, value in bound(statement, self.package))


class Modules(Mapping[str, Module]):
    """The modules of a project by name, each parsed when it is first asked for."""

    def __init__(self, sources: Mapping[str, Source]) -> None:
        self._sources = sources
        self._parsed: dict[str, Module] = {}

    def __getitem__(self, name: str) -> Module:
        if name not in self._parsed:
            self._parsed[name] = _module(self._sources[name])
        return self._parsed[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._sources)

    def __len__(self) -> int:
        return len(self._sources)

    def __contains__(self, name: object) -> bool:
        return name in self._sources

    def in_packages_of(self, names: Set[str]) -> Iterator[str]:
        """Return these modules, and those in the same packages."""
        packages = {name.rpartition(".")[0] for name in names} - {""}
        near = (name for name in self if name in names or name.rpartition(".")[0] in packages)
        yield from (name for name in near if name in names or self._is_python(name))

    def _is_python(self, name: str) -> bool:
        """Whether a file can be parsed; a file that is never imported need not be Python."""
        try:
            return bool(self[name])
        except ConfigurationError:
            return False


@lru_cache(maxsize=4096)
def _module(source: Source) -> Module:
    """Return a parsed text: parsed once for all participants of a project."""
    return Module(source)


def _parsed(source: Source) -> ast.Module:
    try:
        return ast.parse(source.text if len(source.text) <= MAX_CHARACTERS else "")
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise ConfigurationError(
            f"{source.file}:{getattr(error, 'lineno', None) or 1}: not Python: {error}",
            hint="correct the file",
        ) from None


def statements(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """Return the statements of a block and of the blocks in it, but not those of functions and classes."""
    for statement in body:
        yield statement
        if isinstance(statement, (FunctionNode, ast.ClassDef)):
            continue
        for block in ("body", "orelse", "finalbody"):
            yield from statements(getattr(statement, block, []))
        for arm in (*getattr(statement, "handlers", ()), *getattr(statement, "cases", ())):
            yield from statements(arm.body)


def bound(statement: ast.stmt, package: str) -> Iterator[tuple[str, str | ast.expr]]:
    """Return the names that a statement binds, each with a dotted name or an expression."""
    if isinstance(statement, ast.Import):
        for alias in statement.names:
            top = alias.name.partition(".")[0]
            yield (alias.asname, alias.name) if alias.asname else (top, top)
    elif isinstance(statement, ast.ImportFrom):
        for alias in statement.names:
            yield alias.asname or alias.name, f"{_absolute(statement, package)}.{alias.name}"
    else:
        for target, value in _assigned(statement):
            if isinstance(target, ast.Name) and value is not None:
                yield target.id, value


def _assigned(statement: ast.stmt) -> Iterator[tuple[ast.expr | None, ast.expr | None]]:
    """Return the targets of an assignment with their values."""
    if isinstance(statement, ast.Assign):
        yield from ((target, statement.value) for target in statement.targets)
    elif isinstance(statement, ast.AnnAssign):
        yield statement.target, statement.value
    elif isinstance(statement, (ast.With, ast.AsyncWith)):
        yield from ((item.optional_vars, item.context_expr) for item in statement.items)


def _absolute(statement: ast.ImportFrom, package: str) -> str:
    """Return the full name of the module that is imported from."""
    if not statement.level:
        return statement.module or ""
    parts = package.split(".")
    above = parts[: len(parts) - statement.level + 1]
    return ".".join([*above, *([statement.module] if statement.module else [])])
