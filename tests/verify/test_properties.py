"""The properties: each is stated, each has a rule that checks it, and every name that is cited is one."""

from __future__ import annotations

import ast
import inspect
import re
from pathlib import Path

from choreo.verify import properties
from choreo.verify.properties import Property
from choreo.verify.rules import OF_PROPERTY

ROOT = Path(__file__).parents[2]
SOURCES = [path for folder in ("choreo", "tests") for path in (ROOT / folder).rglob("*.py")]
ORACLES = [
    *(ROOT / "tests/verify" / name for name in ("naive.py", "naive_participant.py", "graph_oracle.py")),
    ROOT / "tests/protocol/explore.py",
]


def test_every_property_is_stated_in_one_sentence() -> None:
    (declared,) = (each for each in ast.parse(inspect.getsource(properties)).body if _is_enum(each))
    stated = {
        member.targets[0].id: sentence.value.value
        for member, sentence in zip(declared.body, declared.body[1:], strict=False)
        if isinstance(member, ast.Assign)
        and isinstance(member.targets[0], ast.Name)
        and isinstance(sentence, ast.Expr)
        and isinstance(sentence.value, ast.Constant)
    }

    assert stated.keys() == Property.__members__.keys()
    assert all(re.fullmatch(r"[A-Z][^.]+\.", str(sentence)) for sentence in stated.values())


def _is_enum(node: ast.stmt) -> bool:
    return isinstance(node, ast.ClassDef) and node.name == Property.__name__


def test_every_property_has_a_rule_that_checks_it() -> None:
    assert OF_PROPERTY.keys() == set(Property)


def test_every_property_that_the_code_cites_exists() -> None:
    cited = {name for path in SOURCES for name in re.findall(r"\bProperty\.([A-Z_]+)\b", path.read_text())}

    assert cited <= Property.__members__.keys()


def test_every_property_that_the_oracles_name_exists() -> None:
    """Each begins its complaint with the name, or yields the name alone."""
    named = {
        name
        for path in ORACLES
        for name in re.findall(r'(?:yield |, |Wrong\()f?"([a-z]+(?:-[a-z]+)*)(?:: |"\n)', path.read_text())
    }

    assert {"termination", "reverse-order", "one-owner"} <= named
    assert named <= set(Property)
