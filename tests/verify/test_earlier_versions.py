"""Earlier versions of events: in ``schemas/history``, and in an older revision of the repository."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.cli.command import assert_refused, execute
from tests.verify.test_hostile_input import SAGE

NEW = SAGE.replace("class Asked:\n    n: int", "class Asked:\n    n: int\n    who: str")
FIXED = SAGE.replace("class Asked:\n    n: int", 'class Asked:\n    n: int\n    who: str = ""')


def git(folder: Path, *arguments: str) -> None:
    names = {
        f"GIT_{who}_{what}": "x@y.example" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")
    }
    subprocess.run(
        ["git", *arguments], cwd=folder, check=True, capture_output=True, env={**os.environ, **names}
    )


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Return a repository whose first commit, ``v1``, has schemas that differ from today's."""
    (tmp_path / "pyproject.toml").write_text("[tool.choreo]\n")
    (tmp_path / "sage.py").write_text(SAGE)
    assert execute("schemas", "write", "sage", folder=tmp_path).returncode == 0
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-q", "-m", "first")
    git(tmp_path, "tag", "v1")
    return tmp_path


def test_a_kept_version_that_nobody_can_read_is_found(project: Path) -> None:
    """The log may still hold it."""
    (project / "sage.py").write_text(NEW)
    done = execute("verify", "sage", folder=project)

    assert done.returncode == 1, done.stderr
    assert (
        "error[CHO502] retained-version-unreadable: sage can't read an earlier version of Asked"
        in done.stdout
    )
    assert "who: not written, and has no default" in done.stdout


def test_with_a_default_it_can_be_read(project: Path) -> None:
    (project / "sage.py").write_text(FIXED)

    assert execute("verify", "sage", folder=project).returncode == 0


def test_a_manifest_carries_the_kept_versions(project: Path) -> None:
    """Whoever verifies manifests alone finds it, too."""
    (project / "sage.py").write_text(NEW)
    assert execute("manifest", "sage", "--output", "manifests", folder=project).returncode == 0
    (project / "sage.py").unlink()
    done = execute("verify", "manifests", folder=project)

    assert done.returncode == 1
    assert "CHO502" in done.stdout


def test_an_older_revision_s_version_is_found(project: Path) -> None:
    """Though its files have been deleted since."""
    (project / "sage.py").write_text(NEW)
    for file in (*(project / "schemas").glob("*.avsc"), *(project / "schemas/history").glob("*.avsc")):
        file.unlink()

    assert execute("verify", "sage", folder=project).returncode == 0
    done = execute("verify", "sage", "--against", "v1", folder=project)
    assert done.returncode == 1, done.stderr
    assert "CHO502" in done.stdout


def test_a_manifest_is_held_against_its_module(project: Path) -> None:
    """Where both are named, the module counts, and the manifest must agree but for its lines."""
    assert execute("manifest", "sage", "--output", "manifests", folder=project).returncode == 0
    (project / "sage.py").write_text("\n\n" + SAGE)
    assert execute("verify", "sage", "manifests", folder=project).returncode == 0
    (project / "sage.py").write_text(
        SAGE + "\n@sage.observer\ndef count(event: Done, ctx: Context) -> None: ...\n"
    )
    done = execute("verify", "manifests", "sage", folder=project)

    assert done.returncode == 1, done.stderr
    assert "error[CHO701] stale-manifest: `sage` declares something else than manifests/sage" in done.stdout


@pytest.mark.parametrize("revision", ["v99", "--output=stolen.tar"])
def test_an_unknown_revision_is_one_line(project: Path, revision: str) -> None:
    """And none of git's own options."""
    done = execute("verify", "sage", f"--against={revision}", folder=project)

    assert_refused(done.returncode, done.stderr, revision)
    assert not (project / "stolen.tar").exists()
