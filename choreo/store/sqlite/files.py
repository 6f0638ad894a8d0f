"""The files of an open store: whether they are still those that it opened."""

from __future__ import annotations

import os

from choreo.errors import StoreGone

Identity = tuple[int, int]
"""The device and the inode of a file."""

_BESIDE = ("-wal", "-shm")


def identity_of(path: str) -> Identity | None:
    """Return the identity of a file, None where there is none."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino


class Files:
    """The database file of an open store, its write-ahead log and its index, as they were when it was opened.

    SQLite goes on with files that are deleted, moved or replaced under it: what it writes there is lost.
    Nobody but the last process that closes a store may delete the two beside it. A relative path is that of
    the opening, whatever the working directory is later: a handler may change it.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        names = () if path == ":memory:" else (path, *(f"{path}{each}" for each in _BESIDE))
        found = ((name, os.path.abspath(name)) for name in names)
        self._known = [(name, at, known) for name, at in found if (known := identity_of(at)) is not None]

    def check(self) -> None:
        """Raise `StoreGone` where one of the files is gone, or is another."""
        for name, at, known in self._known:
            found = identity_of(at)
            if found != known:
                raise self._gone(name, is_gone=found is None)

    def _gone(self, name: str, *, is_gone: bool) -> StoreGone:
        if name != self._path:
            return StoreGone(
                f"{name} was {'deleted' if is_gone else 'replaced'} while the store {self._path} was open",
                hint="it holds the last transactions: start again, and look whether they are there",
            )
        if is_gone:
            return StoreGone(
                f"the store {name} was deleted or moved while it was open",
                hint="put the file back, from a backup where there is no other, and start again",
            )
        return StoreGone(
            f"the store {name} was replaced by another file while it was open",
            hint="start again to use the file that is there now",
        )
