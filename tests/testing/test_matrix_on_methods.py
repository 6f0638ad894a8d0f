"""The matrix on every kind of function that pytest and unittest take for a test."""

from __future__ import annotations

import re
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from choreo.errors import ConfigurationError
from choreo.testing import failure_matrix
from choreo.testing.cells import cells_of
from examples.orders.contract import OrderCreated
from examples.orders.inventory import inventory
from examples.orders.orders import orders, place_order

ROOT = Path(__file__).parents[2]
CHOSEN = ("poison",)

TESTS = """
import unittest
from unittest.mock import patch
import pytest
from choreo.testing import failure_matrix
from examples.orders.contract import OrderCreated
from examples.orders.inventory import inventory
from examples.orders.orders import orders, place_order

def order():
    place_order(OrderCreated("o-1", "ada", "pear", 50, 100, "12 Elm Street"))

def fixture_too(databases, tmp_path):
    assert tmp_path.is_dir()

plain = failure_matrix(orders, inventory, faults=["poison"])
checked = failure_matrix(orders, inventory, faults=["poison"], invariant=fixture_too)

@plain
def test_function():
    order()

@checked
def test_default(count=1):
    assert count == 1
    order()

@pytest.mark.parametrize("word", ["a", "b"])
@plain
def test_marked_above(word):
    assert word in "ab"
    order()

@plain
@pytest.mark.parametrize("word", ["a", "b"])
def test_marked_below(word):
    assert word in "ab"
    order()

@plain
@patch("os.getcwd")
def test_patched(getcwd):
    assert getcwd.call_count == 0
    order()

class TestClass:
    begun = staticmethod(order)

    @plain
    def test_method(self):
        self.begun()

    @checked
    def test_fixtures(self, harness, tmp_path):
        assert harness.sagas() == [] and tmp_path.is_dir()
        self.begun()

    @staticmethod
    @plain
    def test_static():
        order()

    @plain
    @staticmethod
    def test_static_inside():
        order()

    @classmethod
    @plain
    def test_of_class(cls):
        assert cls is TestClass
        order()

    class TestWithin:
        @plain
        def test_method(self):
            order()
"""
"""Eleven tests, of which two run twice."""

UNITTEST = """
import unittest
from test_shapes import order, plain, failure_matrix, orders, inventory

class TestCaseOfIts(unittest.TestCase):
    def setUp(self):
        self.begun = order

    @plain
    def test_whole(self):
        self.begun()

class TestAsync(unittest.IsolatedAsyncioTestCase):
    @plain
    def test_harness(self, harness):
        assert harness.sagas() == []
        order()

class TestBroken(unittest.TestCase):
    @failure_matrix(orders, inventory, faults=["poison"], invariant=lambda databases: False)
    def test_it(self):
        order()
"""


def run(folder: Path, *command: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", *command],
        capture_output=True,
        text=True,
        cwd=folder,
        check=False,
        env={"PYTHONPATH": f"{ROOT}:{folder}"},
    )
    return done.stdout + done.stderr


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "test_shapes.py").write_text(TESTS)
    (tmp_path / "test_unittest.py").write_text(UNITTEST)
    return tmp_path


def test_pytest_runs_every_case_of_each(folder: Path) -> None:
    """A method is called on its object, and the marks, fixtures and defaults of the function hold."""
    seen = run(folder, "pytest", "-q", "-p", "no:cacheprovider", "test_shapes.py")
    found = re.search(r"(\d+) passed(?:, (\d+) skipped)?", seen)
    assert found, seen
    assert sum(int(each or 0) for each in found.groups()) == 13 * _cases(), seen
    assert "failed" not in seen


@pytest.mark.parametrize("runner", ["pytest", "unittest"])
def test_the_methods_of_a_test_case_run_their_cases_as_subtests(folder: Path, runner: str) -> None:
    """Those that are never called are skipped, and those that fail are named."""
    options = (
        ["-q", "-p", "no:cacheprovider", "test_unittest.py"] if runner == "pytest" else ["test_unittest"]
    )
    seen = run(folder, runner, *options)
    assert "reserve_inventory-poison" in seen, seen
    assert "does not hold" in seen, seen
    assert "TestAsync" not in seen, seen
    assert not re.search("errors=|error", seen.splitlines()[-1]), seen


@pytest.mark.parametrize("begin", [type, int, partial(place_order), "text", None])
def test_what_is_no_function_is_refused(begin: Any) -> None:
    with pytest.raises(ConfigurationError, match="decorates a function or a method"):
        failure_matrix(orders, inventory)(begin)


def test_a_call_without_a_case_is_refused() -> None:
    @failure_matrix(orders, inventory)
    def order() -> None:
        place_order(OrderCreated("o-1", "ada", "pear", 50, 100, "12 Elm Street"))

    with pytest.raises(ConfigurationError, match="order is called without one of its cases"):
        order()


def _cases() -> int:
    """Return the number of cases of a matrix of the two participants."""
    return sum(cell.kind in ("", *CHOSEN) for cell in cells_of((orders, inventory)))
