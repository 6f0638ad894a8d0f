"""Participants as processes of their own, as a user runs them."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.programs.bench.site import Site

CHOREO = str(Path(sys.executable).with_name("choreo"))
ROOT = Path(__file__).parents[3]


_TICKS = os.sysconf("SC_CLK_TCK")


@contextmanager
def process(
    *arguments: str, stops: bool = False, settings: Mapping[str, str] | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a command as a process, and end it at the end of the block; where it ``stops``, in order.

    ``settings`` are further variables of its environment.
    """
    environment = {**os.environ, **(settings or {})}
    child = subprocess.Popen(
        arguments, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
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


def processor_seconds(pid: int) -> float:
    """Return the seconds of processor time that a process has taken."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS
