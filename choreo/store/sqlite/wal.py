"""``WriteAheadLog``: keeps a store's write-ahead log small, and tells who keeps it from that."""

from __future__ import annotations

import logging
import os
import sqlite3
import time
from pathlib import Path
from typing import Final

LIMIT: Final = 64 * 2**20
"""Bytes above which the write-ahead log is cut back."""

_PAUSE: Final = 10.0
"""Seconds between two attempts, as a checkpoint may take a while."""

_WARNING_PAUSE: Final = 60.0

_READ_LOCKS: Final = range(123, 128)
"""The bytes of the shared-memory file that readers lock (https://sqlite.org/walformat.html, 2.3.2)."""

_WRITE_LOCK: Final = range(120, 121)
"""The byte of that file that the one writer locks."""

_log = logging.getLogger("choreo.store")


class WriteAheadLog:
    """The write-ahead log beside a store's file.

    SQLite writes it back into the file at every thousand pages. It can't go beyond what the oldest open
    reader sees: beside one, the log grows with every turn, and the file of it stays as large afterwards.
    """

    def __init__(self, path: str, connection: sqlite3.Connection) -> None:
        self._path = os.path.abspath(path)  # a handler may change the working directory
        self._connection = connection
        self._next = 0.0
        self._warned = -_WARNING_PAUSE

    def trim(self) -> None:
        """Cut the log back if it is large, without waiting for readers; outside of a turn."""
        now = time.monotonic()
        if now < self._next or self.size() <= LIMIT:
            return
        self._next = now + _PAUSE
        if self._checkpoint() or now - self._warned < _WARNING_PAUSE:
            return
        self._warned = now
        _log.warning(
            "the write-ahead log of %s has %d MB, as %s reads the store in a long transaction",
            self._path,
            self.size() // 2**20,
            ", ".join(readers_of(self._path)) or "a process",
        )

    def size(self) -> int:
        """Return the size of the log in bytes; 0 where there is none."""
        try:
            return Path(f"{self._path}-wal").stat().st_size
        except OSError:
            return 0

    def _checkpoint(self) -> bool:
        """Write the log back and truncate it; whether that was possible."""
        try:
            return not self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
        except sqlite3.OperationalError as error:  # of a full disk, say: the next turn tells
            _log.debug("the checkpoint of %s: %s", self._path, error)
            return False


def readers_of(path: str) -> list[str]:
    """Return the processes that read a store just now, with their commands, where the system tells."""
    return _holders(path, "READ", _READ_LOCKS)


def writers_of(path: str) -> list[str]:
    """Return the process that writes to a store just now, with its command, where the system tells."""
    return _holders(path, "WRITE", _WRITE_LOCK)


def _holders(path: str, kind: str, locks: range) -> list[str]:
    try:
        inode = str(os.stat(f"{path}-shm").st_ino)
        lines = Path("/proc/locks").read_text(encoding="ascii").splitlines()
    except OSError:
        return []
    pids = dict.fromkeys(pid for line in lines if (pid := _holder(line.split(), inode, kind, locks)))
    return [f"process {pid}{_command(pid)}" for pid in pids]


def _holder(fields: list[str], inode: str, kind: str, locks: range) -> str:
    """Return the process of a line of ``/proc/locks`` that is about such a lock of the file, or nothing."""
    if len(fields) != 8 or fields[3] != kind or fields[5].rpartition(":")[2] != inode:
        return ""
    first, last = (int(each) if each.isdigit() else 2**62 for each in fields[6:])
    return fields[4] if any(first <= byte <= last for byte in locks) else ""


def _command(pid: str) -> str:
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return ""
    shown = " ".join(word.decode(errors="replace") for word in words[:3])[:80]
    printable = "".join(each if each.isprintable() else "?" for each in shown)
    return f" ({printable})" if printable.strip() else ""
