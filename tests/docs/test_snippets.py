"""The Python of the README and of every page runs, and the tests in it pass."""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest import TestCase

import pytest
from hypothesis import settings

from choreo.testing import Harness
from choreo.testing.harness import opening
from tests.docs.manual import ALL, PAGES, README, ROOT, Page

FEW = 6
"""How many cases of a matrix a page runs: the README's and getting-started's run whole."""


@contextmanager
def executed(page: Page) -> Iterator[dict[str, Any]]:
    """Run the Python of a page as one module, and yield its names."""
    module = ModuleType(f"manual_{page.path.stem.replace('-', '_')}")
    sys.modules[module.__name__] = module
    try:
        exec(compile(page.snippets, page.path, "exec"), module.__dict__)
        yield module.__dict__
    finally:
        del sys.modules[module.__name__]


@pytest.mark.usefixtures("shop")
@pytest.mark.parametrize("page", [page for page in ALL if page.snippets.strip()], ids=str)
def test_a_page_s_python_runs(page: Page, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """All of its blocks, one after the other, then each test that they define."""
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "recorded").symlink_to(ROOT / "tests" / "fixtures" / "recorded")
    monkeypatch.chdir(tmp_path)
    with executed(page) as names:
        for name, found in list(names.items()):
            if name.startswith(("test_", "Test")):
                _run(found, FEW if page is not README else None)


def _run(test: Any, most: int | None) -> None:
    if inspect.isclass(test) and issubclass(test, TestCase):
        test.settings = settings(max_examples=5, stateful_step_count=10, deadline=None)  # type: ignore[attr-defined]
        test("runTest").runTest()  # type: ignore[attr-defined]
    elif marks := [mark for mark in getattr(test, "pytestmark", ()) if mark.name == "parametrize"]:
        for cell in marks[0].args[1][:most]:
            test(choreo_cell=cell)
    else:
        _run_with_harness(test)


def _run_with_harness(test: Callable[..., None]) -> None:
    wanted = set(inspect.signature(test).parameters)
    if "recorded" in wanted:  # the exports there are of other sagas
        return
    harnesses: list[Harness] = []
    try:
        test(**({"saga_harness": opening(harnesses)} if wanted else {}))
    finally:
        for opened in harnesses:
            opened.close()


@pytest.mark.parametrize(("total", "end"), [(500, "completed"), (500_000, "failed")])
def test_the_saga_of_the_readme_ends(total: int, end: str) -> None:
    """Started twice, it is one saga, and `wait_for` finds its end."""
    with executed(README) as names:
        everybody = [names[name] for name in ("orders", "payments", "shipping")]
        with Harness(everybody) as shop:
            for _ in range(2):
                names["place"](names["OrderPlaced"]("o-1", total))
            shop.run()
            assert names["wait_for"]("o-1") == end
            assert shop.sagas() == [("order", "o-1")]


def test_the_readme_counts_the_tests_of_its_matrix() -> None:
    """As many cases as it says."""
    with executed(README) as names:
        cells = names["test_an_order"].pytestmark[0].args[1]
    assert re.findall(r"(\d+) tests", README.text) == [str(len(cells))]


def test_the_saga_of_the_page_on_steps_completes() -> None:
    """Two branches are joined, and the observer sees the end."""
    with executed(PAGES["steps"]) as names:
        everybody = [names[name] for name in ("orders", "payments", "packing")]
        with Harness(everybody) as shop:
            shop.start(names["OrderPlaced"]("o-1", 500), "o-1")
            shop.run()
            assert shop.state("o-1") == "completed"
            assert [row["event"] for row in shop.database("orders").query("select event from ends")] == [
                "OrderShipped"
            ]


def test_the_saga_of_the_page_on_rollback_is_undone() -> None:
    """The payment fails, and the stock is released before the order fails."""
    with executed(PAGES["rollback"]) as names:
        everybody = [names[name] for name in ("orders", "stock", "payments")]
        with Harness(everybody) as shop:
            for saga_id in ("o-1", "o-2"):
                shop.start(names["OrderPlaced"](saga_id), saga_id)
            names["cancel"]("o-2")
            shop.run()
            assert [event.type.partition(".")[2] for event in shop.events("o-1")][-3:] == [
                "PaymentFailed",
                "StockReleased",
                "OrderFailed",
            ]
            assert names["has_been_cancelled"]("o-2")
            assert not names["has_been_cancelled"]("o-1")
