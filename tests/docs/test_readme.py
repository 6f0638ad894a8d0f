"""The README's code runs, and every command in it exists."""

from __future__ import annotations

import re
import shlex
import sys
from pathlib import Path
from types import ModuleType

import click
import pytest
from hypothesis import settings

import choreo
from choreo.avro import AvroCodec
from choreo.cli.root import choreo as root
from choreo.store.sqlite.store import SQLiteStore
from choreo.testing import Harness
from choreo.testing.broker import MemoryBroker
from choreo.testing.harness import opening
from choreo.worker import Options, Worker
from choreo.worker.clock import SystemClock

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()


def blocks(language: str) -> list[str]:
    """Give the README's code blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


def commands(program: str) -> list[str]:
    """Give the command lines of a program that the README shows."""
    lines = [line.partition("#")[0].strip() for block in blocks("console") for line in block.splitlines()]
    return [line[2:] for line in lines if line.startswith(f"$ {program}")]


@pytest.fixture
def quick_start(monkeypatch: pytest.MonkeyPatch) -> dict[str, object]:
    """Run the README's Python, as one module."""
    module = ModuleType("quick_start")
    monkeypatch.setitem(sys.modules, "quick_start", module)
    exec(compile("\n".join(blocks("python")), "README.md", "exec"), module.__dict__)
    return module.__dict__


@pytest.mark.parametrize(("total", "end"), [(10, "completed"), (5000, "failed")])
def test_the_quick_start_runs_to_its_end(
    quick_start: dict[str, object], tmp_path: Path, total: int, end: str
) -> None:
    """The two participants of the quick start finish a saga, and undo one."""
    broker, stores, workers = MemoryBroker(), {}, []
    for name in ("orders", "payments"):
        participant = quick_start[name]
        choreo.connect(participant, tmp_path / f"{name}.db")  # type: ignore[arg-type]
        stores[name] = SQLiteStore(tmp_path / f"{name}.db")
        codec = AvroCodec(participant.events)  # type: ignore[attr-defined]
        log = broker.log(name)
        worker = Worker(participant, stores[name], log, codec, SystemClock(), Options(idle_seconds=0))  # type: ignore[arg-type]
        worker.start()
        workers.append(worker)
    saga_id = quick_start["place"](quick_start["OrderCreated"]("o-1", total))  # type: ignore[operator]
    for _ in range(50):
        for worker in workers:
            worker.turn()
    assert {store.history(saga_id)[-1].saga_state for store in stores.values()} == {end}
    for store in stores.values():
        store.close()


@pytest.mark.parametrize("line", commands("choreo"))
def test_every_choreo_command_in_the_readme_exists(line: str) -> None:
    """Its name and its options are known to the command line."""
    command: click.Command = root
    words = shlex.split(line)[1:]
    while isinstance(command, click.Group):
        command = command.commands[words.pop(0)]
    known = {option for parameter in command.params for option in parameter.opts}
    assert {word for word in words if word.startswith("--")} <= known


@pytest.mark.parametrize("line", commands("make"))
def test_every_make_target_in_the_readme_exists(line: str) -> None:
    """It stands in the Makefile, with a word of explanation."""
    target = line.split()[1]
    assert re.search(rf"^{target}:.*## ", (ROOT / "Makefile").read_text(), re.MULTILINE)


def test_every_command_is_in_the_readme() -> None:
    """A command that isn't documented fails the build."""
    for name in root.commands:
        assert f"choreo {name}" in README or f"make {name}" in README


@pytest.mark.parametrize("link", re.findall(r"\]\(([^)#]+)\)", README))
def test_every_link_to_a_file_leads_somewhere(link: str) -> None:
    """Links within the repository exist."""
    assert link.startswith("https://") or (ROOT / link).exists()


def test_the_matrix_of_the_readme_s_saga_holds(quick_start: dict[str, object]) -> None:
    """Three lines of test code make it; every case passes."""
    matrix = quick_start["test_an_order"]
    cells = matrix.pytestmark[0].args[1]  # type: ignore[attr-defined]
    assert {"charge-timeout", "charge-late_reply", "refund-transient", "give_up-poison"} <= {
        c.name for c in cells
    }
    for cell in cells:
        matrix(choreo_cell=cell)  # type: ignore[operator]


def test_the_tests_of_the_readme_pass(quick_start: dict[str, object]) -> None:
    """Those with the harness, those that explore, and the state machine."""
    harnesses: list[Harness] = []
    quick_start["test_who_cannot_pay_is_told"](opening(harnesses))  # type: ignore[operator]
    for harness in harnesses:
        harness.close()
    quick_start["test_every_interleaving"]()  # type: ignore[operator]
    machine = quick_start["TestOrders"]("runTest")  # type: ignore[operator]
    machine.settings = settings(max_examples=5, stateful_step_count=10, deadline=None)
    machine.runTest()
