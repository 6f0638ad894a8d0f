"""``choreo run`` in a process that stops itself at a point of its turn: ``stopping.py POINT FLAG …``.

It does so by SIGSTOP, as soon as there is a file ``FLAG``, which it deletes.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any

import choreo.cli.run
from choreo.cli import main
from choreo.worker import composition
from tests.worker.stopping import Stopping


class Stop:
    """Stops the process at a point."""

    is_over = False

    def __init__(self, point: str, flag: Path) -> None:
        self._point = point
        self._flag = flag

    def pass_by(self, name: str) -> None:
        """Come to a point."""
        if name == self._point and self._flag.exists():
            self._flag.unlink()
            os.kill(os.getpid(), signal.SIGSTOP)


def run(point: str, flag: Path, arguments: list[str]) -> None:
    """Run the command line with a store and a log that stop."""
    stop = Stop(point, flag)
    open_store, open_log = composition.open_store, choreo.cli.run.KafkaLog

    def store(*given: Any) -> Any:
        return Stopping(open_store(*given), stop)

    def log(*given: Any, **named: Any) -> Any:
        return Stopping(open_log(*given, **named), stop)

    composition.open_store, choreo.cli.run.KafkaLog = store, log  # type: ignore[assignment,misc]
    main(arguments)


if __name__ == "__main__":
    run(sys.argv[1], Path(sys.argv[2]), sys.argv[3:])
