"""What is deployed now: a folder of manifests, or a revision with manifests, with code, or with neither."""

from __future__ import annotations

from pathlib import Path
from subprocess import CompletedProcess

import pytest

from tests.cli.command import assert_refused, execute
from tests.project.test_revision import git, no_outer_repository

__all__ = ["no_outer_repository"]

SHOP = """
from choreo import Context, Participant, Saga, event

@event(namespace="r")
class Start: n: str
@event(namespace="r")
class Did: n: str
@event(namespace="r")
class Failed: n: str
@event(namespace="r")
class Undid: n: str
@event(namespace="r")
class Refused: n: str
@event(namespace="r")
class End: n: str
@event(namespace="r")
class Over: n: str

saga = Saga("r", starts=Start, completes=End, fails=Over)
p = Participant("p", sagas=[saga])

@p.action(fails=Failed)
def act(event: Start, ctx: Context) -> Did: ...
@p.compensation(of=act)
def undo(did: Did, ctx: Context) -> Undid: ...
@p.action(fails=Refused, kind="pivot")
def bind(event: Did, ctx: Context) -> End: ...
@p.compensation(of=saga.start)
def fail(start: Start, ctx: Context) -> Over: ...
"""
RENAMED = SHOP.replace("def act(", "def do(").replace("of=act", "of=do")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Return a repository whose tag v1 has the shop in a folder of its own, and whose files have a rename."""
    folder = tmp_path / "service"
    (folder / "src").mkdir(parents=True)
    (folder / "pyproject.toml").write_text('[tool.choreo]\nmodules = ["shop"]\n')
    (folder / "src/shop.py").write_text(SHOP)
    git(tmp_path, "init", "-q", ".")
    commit(folder, "v1")
    (folder / "src/shop.py").write_text(RENAMED)
    return folder


def commit(folder: Path, tag: str) -> None:
    git(folder, "add", "-A")
    git(folder, "commit", "-qm", tag)
    git(folder, "tag", tag)


def against(folder: Path, what: str) -> CompletedProcess[str]:
    return execute("verify", "shop", "--against", what, folder=folder / "src")


def test_the_modules_of_a_revision_are_imported_as_they_were(project: Path) -> None:
    """Not those of today, wherever Python finds them first; nothing is left behind."""
    done = against(project, "v1")

    assert done.returncode == 1, done.stderr
    assert "error[CHO803] forgotten-by-release" in done.stdout
    assert 'formerly="act" at `p.do`' in done.stdout
    assert (project / "src/shop.py").read_text() == RENAMED


def test_manifests_of_a_folder_or_of_a_revision_need_no_code(project: Path) -> None:
    (project / "src/shop.py").write_text(SHOP)
    assert execute("manifest", "shop", "--output", "deployed", folder=project / "src").returncode == 0
    (project / "src/shop.py").write_text("raise SystemExit")
    commit(project, "v2")
    (project / "src/shop.py").write_text(RENAMED)

    for what in ("deployed", "v2"):
        done = against(project, what)
        assert done.returncode == 1, done.stderr
        assert "error[CHO803]" in done.stdout


def test_what_can_t_be_imported_is_said_and_only_schemas_are_compared(project: Path) -> None:
    (project / "src/shop.py").write_text(SHOP)
    assert execute("schemas", "write", "shop", folder=project / "src").returncode == 0
    (project / "src/shop.py").write_text(f"import nonsuch\n{SHOP}")
    commit(project, "v3")
    (project / "src/shop.py").write_text(RENAMED)
    done = against(project, "v3")

    assert done.returncode == 0, done.stderr
    assert "only schemas are compared: the modules of v3 can't be read" in done.stderr
    assert "the release not run, only schemas compared: the modules of v3" in done.stdout


def test_a_revision_with_nothing_to_compare_with_is_refused(project: Path) -> None:
    (project / "src/shop.py").write_text("import nonsuch")
    commit(project, "v4")
    (project / "src/shop.py").write_text(RENAMED)
    done = against(project, "v4")

    assert_refused(done.returncode, done.stderr, "v4", "choreo manifest MODULE")
