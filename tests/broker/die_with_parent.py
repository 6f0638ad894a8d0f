"""Run a command that ends when the process that asked for it ends: ``die_with_parent.py PARENT COMMAND…``.

Linux only (prctl(2), PR_SET_PDEATHSIG); elsewhere the command just runs.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def tie(parent: int) -> None:
    """Let this process be killed as soon as ``parent`` ends; at once where it has already."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            sys.exit(1)


def main(parent: int, command: list[str]) -> None:
    """Tie ourselves to ``parent``, then become ``command``."""
    tie(parent)
    os.execv(command[0], command)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
