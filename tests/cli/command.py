"""Running ``choreo`` in tests: in this process, in another one to its end, and in the background."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from click.testing import CliRunner, Result

from choreo.cli import main

DEADLINE = 20.0
CHOREO = (sys.executable, "-m", "choreo")


def invoke(*arguments: str) -> Result:
    """Run a command in this process."""
    return CliRunner().invoke(main, list(arguments))


def execute(
    *arguments: str, folder: Path, env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a command in a process of its own, to its end."""
    return subprocess.run(
        [*CHOREO, *arguments],
        cwd=folder,
        env={**os.environ, **(env or {})},
        capture_output=True,
        text=True,
        timeout=DEADLINE + 20,
    )


def assert_refused(code: int, stderr: str, *words: str) -> None:
    """Hold a wrong input to its one clear line, with a hint, and exit code 2."""
    assert code == 2, stderr
    lines = stderr.splitlines()
    assert len(lines) == 1, stderr
    assert lines[0].startswith("error: "), stderr
    assert "(hint: " in lines[0], stderr
    assert "Traceback" not in stderr
    for word in words:
        assert word in lines[0], stderr


class Running:
    """A command in the background; killed at the end of the block if it still runs."""

    def __init__(self, *arguments: str, folder: Path, name: str = "run") -> None:
        self._out, self._err = folder / f"{name}.out", folder / f"{name}.err"
        with self._out.open("w") as out, self._err.open("w") as err:
            self.process = subprocess.Popen([*CHOREO, *arguments], cwd=folder, stdout=out, stderr=err)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    @property
    def stdout(self) -> str:
        return self._out.read_text()

    @property
    def stderr(self) -> str:
        return self._err.read_text()

    def wait_for(self, text: str) -> None:
        """Wait until a text has been written to either stream."""
        deadline = time.monotonic() + DEADLINE
        while text not in self.stdout + self.stderr:
            assert time.monotonic() < deadline, f"no {text!r} in:\n{self.stdout}{self.stderr}"
            assert self.is_running(), f"ended without {text!r}:\n{self.stdout}{self.stderr}"

    def is_running(self) -> bool:
        """Wait for a moment, and say whether the process is still there."""
        try:
            self.process.wait(0.02)
        except subprocess.TimeoutExpired:
            return True
        return False

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def exit_code(self) -> int:
        """Wait for the end."""
        return self.process.wait(DEADLINE)
