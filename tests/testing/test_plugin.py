"""The pytest plugin costs a run that doesn't use it next to nothing."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

LOADED = """
import sys
before = set(sys.modules)
import choreo.testing.plugin
print(*sorted(name for name in set(sys.modules) - before if name.partition('.')[0] != '_pytest'))
"""


def test_a_run_that_does_not_use_it_loads_nothing_of_choreo() -> None:
    """Only the plugin, and the two modules that every import of the package loads."""
    program = f"import pytest, dataclasses, importlib\n{LOADED}"
    shown = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    loaded = set(shown.stdout.split())
    assert {name for name in loaded if name.startswith("choreo")} == {
        "choreo",
        "choreo.errors",
        "choreo.events",
        "choreo.testing",
        "choreo.testing.plugin",
        "choreo.version",
    }
    assert len(loaded) < 12, loaded


def test_the_fixture_is_there_without_being_asked_for(pytester_run: Path) -> None:
    """The entry point registers it."""
    test = pytester_run / "test_it.py"
    test.write_text("def test_it(saga_harness):\n    assert callable(saga_harness)\n")
    command = [sys.executable, "-W", "error", "-m", "pytest", "-q", "-p", "no:cacheprovider", str(test)]
    run = subprocess.run(command, capture_output=True, text=True, cwd=pytester_run, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
    assert "1 passed" in run.stdout


@pytest.fixture
def pytester_run(tmp_path: Path) -> Path:
    """Return a folder that has no configuration of ours."""
    (tmp_path / "pytest.ini").write_text("[pytest]\nfilterwarnings = error\n")
    return tmp_path
