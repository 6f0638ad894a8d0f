"""The size and the coupling of the package choreo, beside those of before.

Run with ``python -m tests.programs.house [--json] [--list] [--root DIR]``. Nothing is imported, only parsed.

Hidden import: an import statement inside a function or a method, unless the function is the ``__getattr__``
of a module, which loads names when they are asked for. Those of choreo itself are one figure, those of other
packages and of the standard library another.

Import cycle: a strongly connected component of two or more modules. An edge is any import statement, also
one in a function or under ``if TYPE_CHECKING``. ``from a import b`` leads to the module ``a.b`` where there
is one, else to ``a``; that it runs the packages above ``a`` is not counted.
"""

from __future__ import annotations

import argparse
import ast
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from pathlib import Path
from statistics import median
from typing import NamedTuple

from tests.programs.table import ROOT, Figures, report

PACKAGE = "choreo"
SMALL = 60
"""A file with fewer lines is small."""

OLD_VERB = re.compile(r"\s*(Give|Say|Tell)s?\b")
OLD_WORDS = frozenset({"keeping", "canvas", "said", "seat", "owing", "workpiece", "told"})

_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
_FUNCTION = (ast.FunctionDef, ast.AsyncFunctionDef)
_DEFINITION = (*_FUNCTION, ast.ClassDef)

Edges = Mapping[str, Iterable[str]]


class Import(NamedTuple):
    """An import statement, and the functions around it, outermost first."""

    node: ast.Import | ast.ImportFrom
    functions: tuple[str, ...]
    in_class: bool

    @property
    def is_own(self) -> bool:
        """Whether it imports from choreo."""
        if isinstance(self.node, ast.Import):
            return any(_top(alias.name) == PACKAGE for alias in self.node.names)
        return bool(self.node.level) or _top(self.node.module or "") == PACKAGE

    @property
    def is_hidden(self) -> bool:
        """Whether it is inside a function, other than the ``__getattr__`` of a module."""
        return bool(self.functions) and (self.in_class or self.functions != ("__getattr__",))


class Module:
    """One file of the package."""

    def __init__(self, name: str, path: Path) -> None:
        self.name = name
        self.is_package = path.name == "__init__.py"
        self.is_rule = path.match(f"{PACKAGE}/verify/rules/*.py") and not self.is_package
        source = path.read_text()
        self.lines = len(source.splitlines())
        self.tree = ast.parse(source, str(path))

    @property
    def is_small(self) -> bool:
        """Whether it has few lines."""
        return self.lines < SMALL

    @cached_property
    def imports(self) -> list[Import]:
        """Every import statement."""
        return list(_imports(self.tree))

    def function_lengths(self) -> list[int]:
        """Return the lines of each function and method, without its decorators."""
        functions = (node for node in ast.walk(self.tree) if isinstance(node, _FUNCTION))
        return [(node.end_lineno or node.lineno) - node.lineno + 1 for node in functions]

    def docstrings(self) -> list[str]:
        """Return the docstrings of the module, its classes and its functions."""
        nodes = [node for node in ast.walk(self.tree) if isinstance(node, (ast.Module, *_DEFINITION))]
        return [text for node in nodes if (text := ast.get_docstring(node))]

    def names(self) -> list[str]:
        """Return the names that it defines, and its own."""
        return [self.name.split(".")[-1], *(name for node in ast.walk(self.tree) for name in _defined(node))]

    def imported(self, modules: Iterable[str]) -> set[str]:
        """Return which of the modules it imports."""
        return {name for each in self.imports for name in self._targets(each.node, modules)} - {self.name}

    def _targets(self, node: ast.Import | ast.ImportFrom, modules: Iterable[str]) -> Iterator[str]:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in modules)
            return
        source = self._source(node)
        for alias in node.names:
            inner = f"{source}.{alias.name}"
            if inner in modules or source in modules:
                yield inner if inner in modules else source

    def _source(self, node: ast.ImportFrom) -> str:
        """Return the absolute name of what a ``from`` statement imports from."""
        if not node.level:
            return node.module or ""
        parts = self.name.split(".")
        above = parts[: len(parts) - node.level + self.is_package]
        return ".".join([*above, node.module] if node.module else above)


def measure(root: Path) -> Figures:
    """Return the figures of the package in a checkout."""
    modules = read(root)
    return {**sizes(modules), **coupling(modules), **dialect(modules)}


def findings(root: Path) -> list[str]:
    """Return the hidden imports and the cycles of a checkout, one a line."""
    modules = read(root)
    lines = [
        f"{module.name}:{each.node.lineno}: {ast.unparse(each.node)}"
        for module in modules
        for each in module.imports
        if each.is_hidden
    ]
    edges = edges_of(modules)
    return lines + [f"cycle: {', '.join(sorted(each))}" for each in cycles(edges) + cycles(by_unit(edges))]


def read(root: Path) -> list[Module]:
    """Return the modules of the package in a checkout, without the examples that a wheel holds."""
    paths = sorted((root / PACKAGE).rglob("*.py"))
    names = {path: _module_name(path.relative_to(root)) for path in paths}
    return [
        Module(name, path)
        for path, name in names.items()
        if not f"{name}.".startswith(f"{PACKAGE}.examples.")
    ]


def sizes(modules: list[Module]) -> Figures:
    """Return how many files and lines there are, and how long a file and a function is."""
    ordinary = [module for module in modules if not module.is_rule and not module.is_package]
    lengths = [length for module in modules for length in module.function_lengths()]
    return {
        "files": len(modules),
        "of them rules": sum(module.is_rule for module in modules),
        f"files under {SMALL} lines": sum(module.is_small for module in modules),
        "of them neither rule nor __init__": sum(module.is_small for module in ordinary),
        "lines": sum(module.lines for module in modules),
        "median lines of a file": median(module.lines for module in modules),
        "functions": len(lengths),
        "median lines of a function": median(lengths or [0]),
    }


def coupling(modules: list[Module]) -> Figures:
    """Return how many imports are hidden, and which modules and packages import each other."""
    hidden = [each for module in modules for each in module.imports if each.is_hidden]
    edges = edges_of(modules)
    of_modules, of_units = cycles(edges), cycles(by_unit(edges))
    return {
        "hidden imports": sum(each.is_own for each in hidden),
        "hidden imports of others": sum(not each.is_own for each in hidden),
        "cycles of modules": len(of_modules),
        "modules in them": sum(map(len, of_modules)),
        "cycles of top-level packages": len(of_units),
        "packages in them": sum(map(len, of_units)),
    }


def edges_of(modules: list[Module]) -> Edges:
    """Return which modules each module imports."""
    names = {module.name for module in modules}
    return {module.name: module.imported(names) for module in modules}


def by_unit(edges: Edges) -> Edges:
    """Return which top-level packages each of them imports, given the imports of the modules."""
    units: dict[str, set[str]] = {}
    for name, targets in edges.items():
        units.setdefault(_unit(name), set()).update(map(_unit, targets))
    return {unit: targets - {unit} for unit, targets in units.items()}


def dialect(modules: list[Module]) -> Figures:
    """Return how much of the old dialect there is in docstrings and in names."""
    docstrings = [text for module in modules for text in module.docstrings()]
    verbs = Counter(found[1] for text in docstrings if (found := OLD_VERB.match(text)))
    return {
        **{f"docstrings that begin with {verb}": verbs[verb] for verb in ("Give", "Say", "Tell")},
        "old words in docstrings": _old_words(docstrings),
        "old words in names": _old_words(name for module in modules for name in module.names()),
    }


def cycles(edges: Edges) -> list[set[str]]:
    """Return the strongly connected components of two or more nodes."""
    reached = {node: _reached(node, edges) for node in edges}
    components = {frozenset(other for other in reached[node] if node in reached[other]) for node in edges}
    return sorted((set(each) for each in components if len(each) > 1), key=sorted)


def _reached(start: str, edges: Edges) -> set[str]:
    found, waiting = set[str](), [start]
    while waiting:
        new = set(edges[waiting.pop()]) - found
        found |= new
        waiting += new
    return found


def _unit(name: str) -> str:
    """Return the top-level package, or module, of choreo that a module belongs to."""
    return ".".join(name.split(".")[:2])


def _top(name: str) -> str:
    return name.partition(".")[0]


def _module_name(path: Path) -> str:
    parts = path.with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _imports(node: ast.AST, functions: tuple[str, ...] = (), in_class: bool = False) -> Iterator[Import]:
    """Yield the import statements below a node."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, (ast.Import, ast.ImportFrom)):
            yield Import(child, functions, in_class)
        elif isinstance(child, _FUNCTION):
            yield from _imports(child, (*functions, child.name), in_class)
        else:
            yield from _imports(child, functions, in_class or isinstance(child, ast.ClassDef))


def _defined(node: ast.AST) -> list[str]:
    """Return the names that a node defines itself."""
    if isinstance(node, _DEFINITION):
        return [node.name]
    if isinstance(node, ast.arg):
        return [node.arg]
    if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
        return [node.id]
    if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
        return [node.attr]
    return [node.asname] if isinstance(node, ast.alias) and node.asname else []


def _old_words(texts: Iterable[str]) -> int:
    words = (word.lower() for text in texts for word in _WORD.findall(text))
    return sum(word in OLD_WORDS or word.removesuffix("s") in OLD_WORDS for word in words)


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(prog="python -m tests.programs.house", description="Measure the source.")
    parser.add_argument("--json", action="store_true", help="data instead of a table")
    parser.add_argument("--list", action="store_true", help="list hidden imports and cycles instead")
    parser.add_argument("--root", type=Path, default=ROOT, metavar="DIR", help="the checkout to measure")
    options = parser.parse_args()
    if options.list:
        print("\n".join(findings(options.root)))
    else:
        print(report("house", measure(options.root), options.json))


if __name__ == "__main__":
    main()
