"""Participants as processes of their own, as a user runs them."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.programs.bench.site import Site

CHOREO = str(Path(sys.executable).with_name("choreo"))
ROOT = Path(__file__).parents[3]


@contextmanager
def process(*arguments: str, stops: bool = False) -> Iterator[subprocess.Popen[bytes]]:
    """Run a command as a process, and end it at the end of the block; where it ``stops``, in order."""
    child = subprocess.Popen(arguments, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    try:
        yield child
        if child.poll() is not None:
            raise RuntimeError(f"{arguments[0]} ended: {child.stderr.read().decode()}")  # type: ignore[union-attr]
        if stops:
            child.terminate()
            child.wait(60)
    finally:
        child.kill()
        child.wait()
        child.stderr.close()  # type: ignore[union-attr]


def run_arguments(where: Site, participant: str, store: str | Path) -> Sequence[str]:
    """Return the command line of ``choreo run`` for one of the example's participants, or ``module:name``."""
    target = participant if ":" in participant else f"examples.orders.{participant}:{participant}"
    arguments = [CHOREO, "run", target, "--bootstrap", where.bootstrap, "--store", str(store)]
    if where.embedded:
        arguments.append("--embedded")
    return [*arguments, "--log-level", "warning"]
