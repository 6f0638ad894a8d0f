"""Hostile and broken input to ``choreo verify``: one clear line and exit 2; never a traceback."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from choreo.manifest import write_manifest
from choreo.manifest.document import hash_of
from choreo.project.manifests import manifest_from
from tests.cli.command import assert_refused, execute
from tests.verify.corpus import parts

CONTRACT = """
from choreo import Aborted, Context, Participant, Saga, event

@event(namespace="shop")
class Asked:
    n: int

@event(namespace="shop")
class Done:
    n: int

@event(namespace="shop")
class Failed:
    n: int

saga = Saga("quiz", starts=Asked, completes=Done, fails=Failed)
"""
SAGE = (
    CONTRACT
    + """
sage = Participant("sage", sagas=[saga])

@sage.compensation(of=saga.start)
def fail(event: Aborted, asked: Asked, ctx: Context) -> Failed: ...

@sage.action(kind="retriable")
def ponder(event: Asked, ctx: Context) -> Done: ...
"""
)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "pyproject.toml").write_text("[tool.choreo]\n")
    return tmp_path


def signed(content: dict[str, Any]) -> str:
    """Return a manifest with the hash that fits its content, whatever that is."""
    content.pop("hash", None)
    return json.dumps({**content, "hash": hash_of(content)})


def manifest(change: Callable[[dict[str, Any]], object] = lambda content: None) -> str:
    content = json.loads(write_manifest(manifest_from(parts.payments)))
    change(content)
    return signed(content)


def endless() -> Any:
    """Return a schema whose types contain each other."""
    inner = {"type": "record", "name": "Inner", "fields": [{"name": "out", "type": "shop.Reserved"}]}
    return {
        "type": "record",
        "name": "Reserved",
        "namespace": "shop",
        "fields": [{"name": "in", "type": inner}],
    }


DOCUMENTS: dict[str, Callable[[], str]] = {
    "truncated": lambda: manifest()[:-40],
    "empty": lambda: "",
    "binary": lambda: "\x00\x01\x02",
    "a list": lambda: "[]",
    "of a newer format": lambda: manifest(lambda content: content.update(format=99)),
    "of no format": lambda: manifest(lambda content: content.pop("format")),
    "with a wrong hash": lambda: manifest().replace("payments.charge", "payments.chargé", 1),
    "50 MB large": lambda: manifest(lambda content: content.update(code="x" * 50_000_000)),
    "nested deeply": lambda: '{"format": 1, "x": ' + "[" * 100_000 + "]" * 100_000 + "}",
    "claiming another's step": lambda: manifest(lambda c: c["handlers"][0].update(step="stock.reserve")),
    "claiming another's handler": lambda: manifest(lambda c: c["handlers"][0].update(name="stock.reserve")),
    "with a text for a list": lambda: manifest(lambda c: c["handlers"][0].update(trigger="shop.Reserved")),
    "with an escape in a name": lambda: manifest(lambda c: c["handlers"][0].update(place="\x1b[2J:1")),
    "with an unknown role": lambda: manifest(lambda c: c["handlers"][0]["parameters"][0].update(role="eval")),
}


@pytest.mark.parametrize("what", DOCUMENTS)
def test_a_manifest_that_is_none_is_one_line(project: Path, what: str) -> None:
    """It names the file, and says what to do."""
    (project / "payments.choreo.json").write_text(DOCUMENTS[what]())
    done = execute("verify", "payments.choreo.json", folder=project)

    assert_refused(done.returncode, done.stderr, "payments.choreo.json")
    assert done.stdout == ""


def test_types_without_end_are_one_clear_line_or_finding(project: Path) -> None:
    """A schema that contains itself could nest without end."""

    def change(content: dict[str, Any]) -> None:
        content["schemas"]["shop.Reserved"]["schema"] = endless()

    (project / "payments.choreo.json").write_text(manifest(change))
    (project / "stock.choreo.json").write_text(write_manifest(manifest_from(parts.stock)))
    done = execute("verify", "payments.choreo.json", "stock.choreo.json", folder=project)

    assert "Traceback" not in done.stderr
    assert done.returncode in (1, 2)
    if done.returncode == 2:
        assert_refused(done.returncode, done.stderr, "shop.Reserved", "contains itself")


MODULES = {
    "raises": ("raise RuntimeError('no database')", "importing sage failed", "no database", "sage.py:"),
    "exits": ("import sys; sys.exit(0)", "importing sage failed", "SystemExit"),
    "is no Python": ("def", "importing sage failed", "sage.py:"),
    "imports what isn't there": ("import nowhere_at_all", "importing sage failed", "nowhere_at_all"),
    "recurses": ("def f(): f()\nf()", "importing sage failed", "RecursionError"),
}


@pytest.mark.parametrize("what", MODULES)
def test_a_module_that_fails_is_one_line(project: Path, what: str) -> None:
    """With the place."""
    code, *words = MODULES[what]
    (project / "sage.py").write_text(SAGE + code)
    done = execute("verify", "sage", folder=project)

    assert_refused(done.returncode, done.stderr, *words)
    assert done.stdout == ""


def test_a_folder_that_is_a_package_means_its_modules(project: Path) -> None:
    """Also beside manifests, which hide no module; and one that holds neither says what is missing."""
    (project / "shop").mkdir()
    assert_refused(*_refusal(execute("verify", "shop", folder=project)), "shop holds no manifest")
    (project / "shop" / "__init__.py").write_text("")
    (project / "shop" / "sage.py").write_text(SAGE)
    assert execute("verify", "shop", folder=project).returncode == 0
    assert execute("manifest", "shop", "--output", "shop", folder=project).returncode == 0
    assert execute("verify", "shop", folder=project).returncode == 0
    (project / "shop" / "sage.py").write_text("raise RuntimeError")
    assert_refused(*_refusal(execute("verify", "shop", folder=project)), "importing shop.sage failed")


def _refusal(done: subprocess.CompletedProcess[str]) -> tuple[int, str]:
    return done.returncode, done.stderr


def test_what_a_module_prints_is_no_part_of_the_report(project: Path) -> None:
    """A script that reads JSON gets JSON."""
    (project / "sage.py").write_text(SAGE + "print('{not json')\nprint('hello')")
    done = execute("verify", "sage", "--format", "json", folder=project)

    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["errors"] == 0
    assert "hello" in done.stderr


def test_a_participant_declared_twice_is_one_line(project: Path) -> None:
    """Two modules, two participants of one name, that differ."""
    (project / "sage.py").write_text(SAGE)
    (project / "other.py").write_text(SAGE.replace("def ponder", "def guess"))
    done = execute("verify", "sage", "other", folder=project)

    assert_refused(done.returncode, done.stderr, "sage is given twice", "sage.py", "other.py")


def test_no_code_is_run_from_a_manifest(project: Path) -> None:
    """Whatever module its places name, and whatever stands in it."""
    (project / "sage.py").write_text(SAGE)
    assert execute("manifest", "sage", "--output", "manifests", folder=project).returncode == 0
    (project / "sage.py").write_text("import pathlib\npathlib.Path('ran').touch()\n")
    done = execute("verify", "manifests", folder=project)

    assert done.returncode == 0, done.stdout + done.stderr
    assert not (project / "ran").exists()


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ('CHO999 = "off"', ("CHO999", "there is no such rule")),
        ('CHO204 = "fatal"', ("'fatal' is no level", "error, warning, off")),
        ("CHO204 = 3", ("rules",)),
    ],
)
def test_a_wrong_level_is_one_line(project: Path, settings: str, words: tuple[str, ...]) -> None:
    (project / "pyproject.toml").write_text(f"[tool.choreo.rules]\n{settings}\n")
    (project / "sage.py").write_text(SAGE)
    done = execute("verify", "sage", folder=project)

    assert_refused(done.returncode, done.stderr, *words)


def test_levels_of_the_project_count(project: Path) -> None:
    """A warning that is an error fails, one that is off is silent, and --strict lets every warning fail."""
    printed = SAGE.replace(
        "-> Done: ...", "-> Done:\n    import random\n    return Done(random.randint(1, 6))"
    )
    (project / "sage.py").write_text(printed)
    codes = []
    for level in ("warning", "error", "off"):
        (project / "pyproject.toml").write_text(f'[tool.choreo.rules]\nCHO606 = "{level}"\n')
        codes.append(execute("verify", "sage", folder=project).returncode)
    assert codes == [0, 1, 0]
    (project / "pyproject.toml").write_text("[tool.choreo]\n")
    assert execute("verify", "sage", "--strict", folder=project).returncode == 1
