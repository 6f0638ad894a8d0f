"""Run a server that ends when the process that asked for it ends: ``keeper.py PARENT USER COMMAND…``.

It stays beside the server, and watches: a process that was given to another user can't be tied to its parent
by the kernel. Where nobody is left to do so, the working folder is deleted, if it is one that was made for a
server: a folder of its own directly in that for temporary files, with the mark in it that `mark` leaves.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

LOOK_SECONDS = 0.2
PATIENCE = 20.0


PREFIX = "choreo-pg-"
"""How the name of a server's folder begins."""

_MARK = ".choreo-server"


def mark(home: Path) -> None:
    """Mark a folder as one that was made for a server, and may be deleted with it."""
    (home / _MARK).touch()


def sweep(folder: Path) -> bool:
    """Delete a server's folder; return whether it was one. Nothing else is ever deleted."""
    real = folder.resolve()
    made = Path(tempfile.gettempdir()).resolve()
    if real.parent != made or not real.name.startswith(PREFIX) or not (real / _MARK).is_file():
        return False
    shutil.rmtree(real, ignore_errors=True)
    return True


def main(parent: int, user: str, command: list[str]) -> int:
    """Run the command until it ends, or its parent does."""
    server = subprocess.Popen(command, user=user or None, extra_groups=[] if user else None)
    for each in (signal.SIGINT, signal.SIGTERM, signal.SIGQUIT):
        signal.signal(each, lambda number, _: server.send_signal(number))
    while server.poll() is None:
        with suppress(subprocess.TimeoutExpired):
            return server.wait(LOOK_SECONDS)
        if os.getppid() != parent:
            server.send_signal(signal.SIGQUIT)
            server.wait(PATIENCE)
            sweep(Path.cwd())
    return server.returncode


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), sys.argv[2], sys.argv[3:]))
