"""One broker for a whole test session, also where pytest-xdist runs it in several processes."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from tests.broker.kafka import Broker


@contextmanager
def shared_broker(folder: Path) -> Iterator[str]:
    """Return the address of the session's broker in ``folder``, which the first to ask starts.

    Everybody holds a shared lock while using it; who started it ends it, once alone. The locks are the
    kernel's, so a process that dies lets go.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "users").open("ab") as users:
        address, owned = _join(folder, users)
        try:
            yield address
        finally:
            if owned is not None:
                fcntl.flock(users, fcntl.LOCK_EX)
                (folder / "address").unlink()
                owned.stop()


def _join(folder: Path, users: IO[bytes]) -> tuple[str, Broker | None]:
    """Find the broker or start it; one process at a time comes through here."""
    address = folder / "address"
    with (folder / "door").open("ab") as door:
        fcntl.flock(door, fcntl.LOCK_EX)
        fcntl.flock(users, fcntl.LOCK_SH)
        if address.exists():
            return address.read_text(), None
        broker = Broker(folder / f"broker-{os.getpid()}")
        broker.start()
        address.write_text(broker.bootstrap)
        return broker.bootstrap, broker
