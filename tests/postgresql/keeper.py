"""Run a server that ends when the process that asked for it ends: ``keeper.py PARENT USER COMMAND…``.

It stays beside the server, and watches: a process that was given to another user can't be tied to its parent
by the kernel. The server's folder is deleted where nobody is left to do so.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from contextlib import suppress

LOOK_SECONDS = 0.2
PATIENCE = 20.0


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
            shutil.rmtree(os.getcwd(), ignore_errors=True)
    return server.returncode


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), sys.argv[2], sys.argv[3:]))
