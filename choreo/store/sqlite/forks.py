"""Connections that a process inherits by ``fork()``: it neither uses nor closes them.

SQLite keeps its locks for each file and process. A child holds none of its parent's, yet its copy of SQLite
believes that it does, for as long as an inherited connection is open there: even a new connection of the
child's to the same file then takes no lock, and its commits are lost as soon as another process closes the
file as the last one that has it. To close the inherited one is no better, as that writes to the file (SQLite,
"How To Corrupt An SQLite Database File", 2.6). So connections are best closed before a fork, as
`choreo.store.sqlite.pool` does; and where one was open all the same, the child is refused the file.
"""

from __future__ import annotations

import os
from typing import Protocol
from weakref import WeakSet

from choreo.errors import StoreError
from choreo.store.forks import keep
from choreo.store.sqlite.files import Identity, identity_of

HINT = (
    "fork outside of transactions and of workers, or start processes by spawn or exec"
    " (multiprocessing: set_start_method('spawn'))"
)


class Inheritable(Protocol):
    """An open connection to the file ``identity``."""

    identity: Identity | None

    def disown(self) -> None:
        """Refuse every use from now on."""
        ...


class _Process:
    """What this process has open, and the files that its parent had open when it was forked."""

    def __init__(self) -> None:
        self.pid = os.getpid()
        self.open: WeakSet[Inheritable] = WeakSet()
        self.inherited: set[Identity] = set()

    def begin(self) -> None:
        """Disown, in a new process, every connection that is open."""
        self.pid = os.getpid()
        for connection in list(self.open):
            assert connection.identity is not None
            keep(connection)
            connection.disown()
            self.inherited.add(connection.identity)
        self.open = WeakSet()


_process = _Process()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_process.begin)


def notice() -> None:
    """Disown what was inherited where no hook has done so: programs in C fork without telling Python."""
    if os.getpid() != _process.pid:
        _process.begin()


def opened(connection: Inheritable) -> None:
    """Note that a connection to a file is open."""
    _process.open.add(connection)


def closed(connection: Inheritable) -> None:
    """Note that a connection is closed."""
    _process.open.discard(connection)


def refuse_inherited(path: str) -> None:
    """Raise `StoreError` where this process was forked while its parent had the file open."""
    notice()
    if _process.inherited and identity_of(path) in _process.inherited:
        raise StoreError(
            f"{path} can't be used here: this process was forked while a transaction or a worker had it open",
            hint=HINT,
        )
