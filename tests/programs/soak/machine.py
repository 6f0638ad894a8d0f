"""What a machine does to its processes: a disk that is full for a while, a clock that jumps.

The disk is a file system in memory, which only root may mount, on Linux: where it can't be had,
`Disk.available` is false and nothing happens to anybody. The clock is Python's:
``python -m tests.programs.soak.machine FILE run …`` runs choreo by a wall clock that is set in a file.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

_MEGABYTE = 1024 * 1024
_LOOK_SECONDS = 0.05


class Disk:
    """A file system of a fixed size, which can be filled up and emptied again."""

    def __init__(self, folder: Path, megabytes: int = 512) -> None:
        folder.mkdir()
        self.folder = folder
        self._ballast = folder / "ballast"
        mount = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "choreo-soak", str(folder)]
        self.available = _succeeds(mount)

    def fill(self) -> Callable[[], None]:
        """Leave no room at all; return what makes room again."""
        if not self.available:
            return lambda: None
        with self._ballast.open("ab", buffering=0) as file:
            size = _MEGABYTE
            while size:
                with suppress(OSError):
                    while file.write(bytes(size)) == size:
                        pass
                size //= 2
        return lambda: self._ballast.unlink(missing_ok=True)

    def close(self) -> None:
        """Unmount it; a process that has a file open keeps it until then."""
        if self.available:
            _succeeds(["umount", "--lazy", str(self.folder)])


class Clock:
    """The wall clock of the processes that `command` starts."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self.set(0)

    def command(self, arguments: list[str]) -> list[str]:
        """Return the command that runs ``choreo`` with these arguments by this clock."""
        return [sys.executable, "-m", "tests.programs.soak.machine", str(self._file), *arguments]

    def set(self, seconds: float) -> None:
        """Set the clock this many seconds ahead of the true time, behind it where negative."""
        fresh = self._file.with_suffix(".new")
        fresh.write_text(str(seconds))
        os.replace(fresh, self._file)


def _jump(file: Path) -> None:
    """Replace the time of this process by that of a `Clock`."""
    true, looked, ahead = time.time_ns, -1.0, 0

    def time_ns() -> int:
        nonlocal looked, ahead
        now = time.monotonic()
        if now - looked > _LOOK_SECONDS:
            looked, ahead = now, int(float(file.read_text()) * 1e9)
        return true() + ahead

    time.time_ns = time_ns
    time.time = lambda: time_ns() / 1e9


def _succeeds(command: list[str]) -> bool:
    try:
        return subprocess.run(command, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return False


if __name__ == "__main__":
    _jump(Path(sys.argv.pop(1)))
    from choreo.cli import main  # the clock is replaced first
    from tests.stores import spell

    spell()
    sys.exit(main())
