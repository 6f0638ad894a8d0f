"""The rules that `choreo.protocol` states are the rules that are cited and tested."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

import choreo.protocol

ROOT = Path(choreo.__file__).parent.parent
STATED = re.findall(r"^- \*\*(R\d+) [a-z ,]+\*\*: ", choreo.protocol.__doc__ or "", re.MULTILINE)
CITED = re.compile(r"\bR\d+\b")


def sources(folder: str) -> list[Path]:
    return sorted((ROOT / folder).rglob("*.py"))


@cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


def prose(path: Path) -> Iterator[str]:
    """Yield the docstrings and the comments of a module."""
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            yield str(node.value.value)
    for line in path.read_text().splitlines():
        yield line.partition("# ")[2]


def rules_tested() -> Iterator[str]:
    """Yield the name and the docstring of every test."""
    for path in sources("tests"):
        for node in ast.walk(parsed(path)):
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                yield f"{node.name.replace('_', ' ').upper()} {ast.get_docstring(node) or ''}"


# In one process, which parses each file once.
pytestmark = pytest.mark.xdist_group("rules")


def test_the_rules_are_numbered_without_a_gap() -> None:
    """So that R4 is the fourth of them."""
    assert [f"R{number}" for number in range(1, len(STATED) + 1)] == STATED


@pytest.mark.parametrize("folder", ["choreo", "tests", "examples"])
def test_every_rule_that_is_cited_is_stated(folder: str) -> None:
    """A docstring or a comment that cites a rule can be looked up."""
    cited = {
        rule: path.name for path in sources(folder) for text in prose(path) for rule in CITED.findall(text)
    }
    assert {rule: where for rule, where in cited.items() if rule not in STATED} == {}


def test_every_rule_that_is_stated_has_a_test_that_names_it() -> None:
    """In its name or its docstring."""
    named = {rule for test in rules_tested() for rule in CITED.findall(test)}
    assert [rule for rule in STATED if rule not in named] == []
