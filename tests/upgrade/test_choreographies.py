"""Manifests, a lock, and a run of before: they are read, proved and run again as they were then."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from shutil import copy, copytree, ignore_patterns
from typing import Any

import pytest

from choreo.manifest import read_manifest, write_manifest
from tests.upgrade.world import BEFORE, told

VERIFY = BEFORE / "verify"
LONG = ("--seconds", "60")
"""A slow machine must not make a verdict inconclusive."""


@pytest.fixture(autouse=True)
def documents(folder: Path) -> None:
    """Put the manifests and their lock into the working directory."""
    copytree(BEFORE / "manifests", folder / "manifests")
    copytree(VERIFY / "broken", folder / "broken")
    copy(BEFORE / "choreography.json", folder)


@pytest.fixture
def broken_shop(folder: Path) -> Iterator[str]:
    """Return the name of order fulfilment as a package that releases its stock too early."""
    source = Path(__file__).parents[2] / "examples" / "orders"
    copytree(source, folder / "broken_shop", ignore=ignore_patterns("__pycache__", "scenario.py"))
    inventory = folder / "broken_shop" / "inventory.py"
    text = inventory.read_text()
    called = "event: PaymentFailed | ShipmentFailed | Aborted, reserved: InventoryReserved"
    broken = (
        text.replace("reserved: InventoryReserved", called)
        .replace("import Context", "import Aborted, Context")
        .replace("    OrderCreated,\n", "    OrderCreated,\n    PaymentFailed,\n    ShipmentFailed,\n")
    )
    assert broken != text
    inventory.write_text(broken)
    yield "broken_shop"
    for name in [name for name in sys.modules if name.partition(".")[0] == "broken_shop"]:
        del sys.modules[name]


def verdict(text: str) -> Any:
    """Return a verdict without what it cost, what it says today besides, and CHO301."""
    content = json.loads(text)
    for name in ("seconds", "text", "states", "delays", "unsearched", "unexplored", "versions", "release"):
        content["scope"].pop(name, None)
    content["findings"] = [each for each in content["findings"] if each["rule"] != "CHO301"]
    content["warnings"] = sum(each["level"] == "warning" for each in content["findings"])
    for each in content["findings"]:
        each.pop("imports", None)
    return content


def test_the_manifests_are_proved() -> None:
    """With the lock beside them: no code is imported, and nothing is out of date."""
    found = told("verify", "manifests", *LONG, "--format", "json")
    assert verdict(found) == verdict((VERIFY / "good.json").read_text())


def test_the_lock_is_written_as_it_was(folder: Path) -> None:
    """Word for word, but for the version that wrote it, and the digests, which are of another format."""
    before = json.loads((folder / "choreography.json").read_text())
    told("verify", "manifests", *LONG, "--lock")
    after = json.loads((folder / "choreography.json").read_text())
    assert after["participants"].keys() == before["participants"].keys()
    for each in (before, after):
        del each["choreo"], each["hash"], each["format"], each["participants"]
    assert after == before


@pytest.mark.parametrize("form", ["table", "mermaid", "dot", "json"])
def test_the_graph_is_drawn_as_it_was(form: str) -> None:
    """From manifests alone; the goldens have today's deadlines and slots."""
    assert told("graph", "manifests", "--format", form) == (VERIFY / f"graph.{form}").read_text()


def test_what_was_broken_is_still_found(folder: Path) -> None:
    """With the same words, and the same run behind it."""
    (folder / "choreography.json").unlink()  # which is of the choreography that is not broken
    found = told("verify", "broken", *LONG, "--format", "json", "--traces", "traces", code=1)
    assert verdict(found) == verdict((VERIFY / "broken.json").read_text())
    (trace,) = (json.loads(path.read_text()) for path in (folder / "traces").iterdir())
    (before,) = (json.loads(path.read_text()) for path in (VERIFY / "traces").iterdir())
    for each in (before, trace):
        del each["choreo"], each["hash"]
    assert trace == before


def test_the_run_is_run_again_from_manifests() -> None:
    """It takes the same course."""
    (trace,) = (VERIFY / "traces").iterdir()
    assert told("simulate", str(trace), "broken") == (VERIFY / "simulate-manifests.txt").read_text()


def test_the_run_is_run_again_with_the_real_handlers(broken_shop: str) -> None:
    """In memory, by the worker of today: the same course, and a note on each handler that would do otherwise.

    A package in the working folder was taken for a folder of manifests then, so no handler of it was called.
    """
    (trace,) = (VERIFY / "traces").iterdir()
    lines = told("simulate", str(trace), broken_shop).splitlines()
    notes = [line for line in lines if line.startswith("note: ")]
    course = [line for line in lines if line not in notes]
    assert course == (VERIFY / "simulate-shop.txt").read_text().splitlines()
    assert "note: inventory.reserve_inventory raised Permanent, not shop.InventoryReserved" in notes


def test_todays_manifests_say_the_same(folder: Path) -> None:
    """A manifest of before and the module that it is of are one participant, and the graph is the same.

    Besides, today's says how the code names things, and accepts that nobody gives up (CHO301).
    """
    names = [f"examples.{name}" for name in ("orders", "bank", "travel")]
    told("manifest", *names, "--output", "today")
    for path in sorted((folder / "today").iterdir()):
        older = read_manifest((folder / "manifests" / path.name).read_text(), path.name)
        before = json.loads(write_manifest(older))
        today = json.loads(path.read_text())
        for each in (before, today):
            del each["choreo"], each["code"], each["hash"]
        for each in (before, today):
            del each["modules"], each["origins"], each["project"], each["heads"]
            each["suppressions"] = [s for s in each["suppressions"] if s["rule"] != "CHO301"]
        _name_no_event(before, today)
        assert _placeless(today) == _placeless(before)


def test_the_schemas_are_those_of_the_events(folder: Path) -> None:
    """Nothing is missing, nothing has drifted, and written again they are the same files."""
    copytree(BEFORE / "schemas", folder / "schemas")
    names = [f"examples.{name}.contract" for name in ("orders", "bank", "travel")]
    told("schemas", "check", *names)
    told("schemas", "write", *names)
    files = {path.relative_to(folder): path.read_bytes() for path in (folder / "schemas").rglob("*.avsc")}
    before = BEFORE / "schemas"
    assert files == {
        "schemas" / path.relative_to(before): path.read_bytes() for path in before.rglob("*.avsc")
    }


def _name_no_event(before: Any, today: Any) -> None:
    """Declare the compensations of before as today's, where those leave what calls them to the graph.

    Order fulfilment named the events; what calls its compensations is the same, as its roles show.
    """
    derived = {each["name"]: each for each in today["handlers"] if each["derived"]}
    for each in before["handlers"]:
        if each["name"] in derived and not each["derived"]:
            each.update(derived=True, trigger=[], aborted=True)
            each["parameters"] = [other for other in each["parameters"] if other["role"] != "event"]
            for event in set(before["schemas"]) - set(today["schemas"]):
                del before["schemas"][event]


def _placeless(content: Any) -> Any:
    """Return a manifest without the lines of code that it names."""
    if isinstance(content, dict):
        return {name: _placeless(value) for name, value in content.items() if name != "place"}
    return [_placeless(each) for each in content] if isinstance(content, list) else content
