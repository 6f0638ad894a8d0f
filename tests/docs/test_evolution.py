"""The page on evolution: each section changes the shop of getting-started, and tells what then follows."""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from shutil import copytree
from typing import NamedTuple

import pytest

from choreo.testing import Harness
from tests.cli.command import invoke
from tests.docs.conftest import write_project
from tests.docs.manual import PAGES

PAGE = PAGES["evolution"]
TIMES = re.compile(r"\d+\.\d\d s")
BLOCK = re.compile(r"^```(diff|console)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
FILE = re.compile(r"^# (\S+)\n", re.MULTILINE)


class Command(NamedTuple):
    """A command line, its exit code, and what is shown below it, empty where nothing is."""

    words: list[str]
    code: int
    output: str


SECTIONS = {
    title: BLOCK.findall(body)
    for title, body in re.findall(r"^## (.*?)\n(.*?)(?=^## |\Z)", PAGE.text, re.MULTILINE | re.DOTALL)
}
SETUP = BLOCK.findall(PAGE.text.partition("\n## ")[0])


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the shop with an order in flight, paid and not shipped, and the manifests of it."""
    folder = write_project(tmp_path_factory.mktemp("before"))
    with pytest.MonkeyPatch.context() as patch:
        enter(folder, patch)
        orders, payments, shipping = (
            import_module(f"shop.{name}") for name in ("orders", "payments", "shipping")
        )
        participants = (orders.orders, payments.payments, shipping.shipping)
        with Harness(participants, folder=folder) as harness:
            orders.place(import_module("shop.contract").OrderPlaced("o-1", 500))
            harness.run(until=lambda: [each.type for each in harness.events()][-1:] == ["shop.OrderPaid"])
        for _, block in SETUP:
            run(block)
    return folder


@pytest.fixture
def deployed(before: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in a copy of it."""
    copied = copytree(before, tmp_path / "shop")
    enter(copied, monkeypatch)
    return copied


def enter(folder: Path, patch: pytest.MonkeyPatch) -> None:
    """Work in a folder, whose modules may change within one second."""
    forget()
    patch.chdir(folder)
    patch.syspath_prepend(folder)
    patch.setattr(sys, "dont_write_bytecode", True)


def forget() -> None:
    """Let the next import read the modules anew."""
    for name in [name for name in sys.modules if name.partition(".")[0] == "shop"]:
        del sys.modules[name]


@pytest.mark.parametrize("title", [title for title, blocks in SECTIONS.items() if blocks])
def test_a_change_is_what_the_page_says_of_it(deployed: Path, title: str) -> None:
    """By the letter: what is edited, what is then run, what that prints, and how it exits."""
    for language, block in SECTIONS[title]:
        if language == "diff":
            edit(deployed, block)
        else:
            run(block)


def edit(project: Path, block: str) -> None:
    """Apply a block to the files that it names; ``@@`` stands between the hunks of one file."""
    _, *parts = FILE.split(block)
    for name, hunks in zip(parts[::2], parts[1::2], strict=True):
        path = project / name
        text = path.read_text()
        for hunk in hunks.split("@@\n"):
            old, new = (
                "".join(f"{line[1:]}\n" for line in hunk.splitlines() if line[:1] in ("", " ", sign))
                for sign in "-+"
            )
            assert text.count(old) == 1, f"{name} has not once:\n{old}"
            text = text.replace(old, new)
        path.write_text(text)


def run(block: str) -> None:
    """Run the commands of a block, and compare what they print with what it shows."""
    for command in commands(block):
        forget()
        result = invoke(*command.words[1:])
        told = f"{' '.join(command.words)}\n{result.output}"
        assert result.exit_code == command.code, f"{told}\n{result.exception!r}"
        if command.output:
            assert re.fullmatch(pattern(command.output), TIMES.sub("", result.output)), told


def commands(block: str) -> Iterator[Command]:
    """Yield the commands of a block."""
    for line, output in re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", block, re.MULTILINE):
        words, _, remark = line.partition(" #")
        code = re.search(r"exits with (\d)", remark)
        yield Command(shlex.split(words), int(code[1]) if code else 0, output)


def pattern(output: str) -> str:
    """Return the pattern of what is printed: times are left out, an ellipsis stands for anything."""
    return re.escape(TIMES.sub("", output)).replace("…", "(?s:.*)")
