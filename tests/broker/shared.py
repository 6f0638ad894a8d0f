"""One server for a whole test session, also where pytest-xdist runs it in several processes."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Protocol

from tests.broker.kafka import Broker


class Service(Protocol):
    """A server that was started."""

    def stop(self) -> None:
        """End it."""
        ...


Start = Callable[[Path], tuple[str, Service]]
"""Starts a server whose files are in a folder, and returns its address with it."""


@contextmanager
def shared(folder: Path, start: Start) -> Iterator[str]:
    """Return the address of the session's server in ``folder``, which the first to ask starts.

    Everybody holds a shared lock while using it; who started it ends it, once alone. The locks are the
    kernel's, so a process that dies lets go.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "users").open("ab") as users:
        address, owned = _join(folder, start, users)
        try:
            yield address
        finally:
            if owned is not None:
                fcntl.flock(users, fcntl.LOCK_EX)
                (folder / "address").unlink()
                owned.stop()


def _join(folder: Path, start: Start, users: IO[bytes]) -> tuple[str, Service | None]:
    """Find the server or start it; one process at a time comes through here."""
    noted = folder / "address"
    with (folder / "door").open("ab") as door:
        fcntl.flock(door, fcntl.LOCK_EX)
        fcntl.flock(users, fcntl.LOCK_SH)
        if noted.exists():
            return noted.read_text(), None
        address, service = start(folder)
        noted.write_text(address)
        return address, service


@contextmanager
def shared_broker(folder: Path) -> Iterator[str]:
    """Return the address of the session's broker in ``folder``."""
    with shared(folder, _start_broker) as address:
        yield address


def _start_broker(folder: Path) -> tuple[str, Service]:
    broker = Broker(folder / f"broker-{os.getpid()}")
    broker.keep_classes()
    broker.start()
    return broker.bootstrap, broker
