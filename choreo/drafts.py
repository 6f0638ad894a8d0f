"""Makes files that appear whole or not at all, and private ones that nobody else can read at any time."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from glob import escape
from pathlib import Path
from typing import IO, Final

PRIVATE: Final = 0o600
SHARED: Final = 0o666
"""The mode of a file that others may read, as far as the process's umask allows."""

_DRAFT: Final = ".draft"

_OWN_FILES: Final = "/proc/self/fd"
_NEW: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


@contextmanager
def whole_file(path: Path, mode: int) -> Iterator[IO[bytes]]:
    """Open a file that takes the place of ``path`` once the block succeeds.

    Until then it has no name, so nothing of it stays when the process fails or is killed; where the file
    system has no such files, it has a name that can't be foreseen. What is no regular file, such as a pipe,
    is written as it is. Raises `OSError`.
    """
    if path.exists() and not path.is_file():
        with path.open("wb") as file:
            yield file
        return
    descriptor, name = _draft(path, mode)
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
            name = name or _named(file.fileno(), path)
        os.replace(name, path)
    finally:
        with suppress(OSError):
            os.unlink(name)


def make_private(path: Path) -> None:
    """Make an empty file that only its owner may read and write, unless there is a file. Raises `OSError`."""
    with suppress(FileExistsError):
        os.close(_opened(str(path), _NEW, PRIVATE))


@contextmanager
def draft_folder(path: Path) -> Iterator[Path]:
    """Make a private folder beside ``path`` for as long as the block.

    Folders of processes that were killed are removed, too. Raises `OSError`.
    """
    _sweep(path)
    folder, lock = _held(path)
    try:
        yield folder
    finally:
        os.close(lock)
        shutil.rmtree(folder, ignore_errors=True)


def _held(path: Path) -> tuple[Path, int]:
    """Return a new folder, and the descriptor that holds it."""
    while True:
        folder = unforeseen(path, _DRAFT)
        folder.mkdir(mode=0o700)
        lock = os.open(folder, os.O_RDONLY)
        fcntl.flock(lock, fcntl.LOCK_EX)
        if folder.exists():  # else another process has swept it before it was held
            return folder, lock
        os.close(lock)


def _sweep(path: Path) -> None:
    """Remove the draft folders that no process holds."""
    for folder in path.parent.glob(f".{escape(path.name[:200])}.*{_DRAFT}"):
        with suppress(OSError):
            lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder, ignore_errors=True)
            finally:
                os.close(lock)


def unforeseen(path: Path, suffix: str) -> Path:
    """Return the path of a hidden file beside another, which nobody can foresee."""
    return path.with_name(f".{path.name[:200]}.{os.urandom(8).hex()}{suffix}")


def _draft(path: Path, mode: int) -> tuple[int, str]:
    """Return a new file's descriptor, and its name, which is empty where it has none yet."""
    without_name = getattr(os, "O_TMPFILE", 0)
    if without_name and os.path.isdir(_OWN_FILES):
        with suppress(OSError):
            return _opened(str(path.parent), os.O_WRONLY | without_name | os.O_CLOEXEC, mode), ""
    name = str(unforeseen(path, ".new"))
    return _opened(name, _NEW, mode), name


def _opened(name: str, flags: int, mode: int) -> int:
    descriptor = os.open(name, flags, mode)
    if mode == PRIVATE:
        os.fchmod(descriptor, mode)  # whatever the umask is
    return descriptor


def _named(descriptor: int, path: Path) -> str:
    """Return the name that a file without one is given."""
    name = str(unforeseen(path, ".new"))
    # Only with a descriptor of a folder does Python let the link to the file be followed.
    folder = os.open(_OWN_FILES, os.O_RDONLY)
    try:
        os.link(str(descriptor), name, src_dir_fd=folder, follow_symlinks=True)
    finally:
        os.close(folder)
    return name
