"""The hooks for pre-commit, as a project would configure them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.cli.command import execute
from tests.docs.manual import PAGES, ROOT

HOOKS = re.findall(
    r"- id: (\S+)\n.*?  entry: choreo ([^\n]+)\n(.*?)(?=^- id|\Z)",
    (ROOT / ".pre-commit-hooks.yaml").read_text(),
    re.M | re.S,
)


def test_there_are_hooks() -> None:
    """Each runs the project's own choreo, once, without file names."""
    assert [name for name, _, _ in HOOKS] == ["choreo-verify", "choreo-manifest", "choreo-schemas"]
    for _, _, rest in HOOKS:
        assert "language: system" in rest
        assert "pass_filenames: false" in rest


@pytest.mark.parametrize(("name", "entry", "rest"), HOOKS, ids=[name for name, _, _ in HOOKS])
def test_a_hook_runs(name: str, entry: str, rest: str, tmp_path: Path) -> None:
    """On a project of one participant: red before its files are written, green after."""
    extra = ["examples.bank.contract"] if name == "choreo-schemas" else ["examples.bank"]
    extra += ["--output", str(tmp_path / "manifests")] if name == "choreo-manifest" else []
    extra += ["--schemas", str(tmp_path / "schemas")] if name == "choreo-schemas" else []
    writes = {"choreo-manifest": "manifest", "choreo-schemas": "schemas write"}.get(name)
    if writes:
        assert execute(*entry.split(), *extra, folder=ROOT).returncode == 1
        assert execute(*writes.split(), *extra, folder=ROOT).returncode == 0
    done = execute(*entry.split(), *extra, folder=ROOT)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_manual_names_hooks_that_exist() -> None:
    named = re.findall(r"id: (choreo-\w+)", PAGES["verify"].text)

    assert named
    assert set(named) <= {name for name, _, _ in HOOKS}
