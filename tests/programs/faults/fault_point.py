"""The fault point of one process: it waits for its point of the turn, and strikes there once."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from choreo.errors import ChoreoError, StoreError
from tests.programs.faults.cells import Cell

OUTCOMES = {"action": "succeeded", "compensation": "compensated", "deadline": "timed_out"}
"""What the doer publishes when it has done a task."""

_TRIGGERS = {"action": b"faults.JobAsked", "compensation": b"faults.CheckFailed"}


class Aim(NamedTuple):
    """What strikes whom: a cell, the saga that it is about, the cell's folder, and the proxy to tell."""

    cell: Cell
    seed: int
    saga_id: str
    folder: Path
    control: int
    line: int

    @property
    def struck(self) -> Path:
        """The file that is there once the fault has struck."""
        return self.folder / "struck"

    @property
    def mended(self) -> Path:
        """The file that is there once what made a dead letter is mended."""
        return self.folder / "mended"

    @property
    def world(self) -> Path:
        """The file of what calls have done in the world."""
        return self.folder / "world"

    @property
    def is_broken(self) -> bool:
        """Whether the saga's task can't be done until it is mended."""
        return self.cell.point == "dead letter written"


class FaultPoint:
    """Strikes where a process comes to the aim's point while it has the saga's trigger in hand."""

    def __init__(self, aim: Aim) -> None:
        self.aim = aim
        self.at_hand = False

    def reach(self, point: str, error: type[Exception] = StoreError) -> None:
        """Come to a point; raises ``error`` where the fault is an exception."""
        if self.is_at(point) and _mark(self.aim.struck):
            _STRIKES[self.aim.cell.fault](self.aim, error)

    def is_at(self, point: str) -> bool:
        """Whether the fault is still to strike at that point, now."""
        return self.at_hand and point == self.aim.cell.point and not self.aim.struck.exists()

    def is_trigger(self, key: bytes | None, event_type: bytes | None) -> bool:
        """Whether a record is what calls for the aim's task."""
        return key == self.aim.saga_id.encode() and event_type == _TRIGGERS.get(self.aim.cell.task)

    def is_outcome(self, key: bytes, outcome: bytes) -> bool:
        """Whether a publication is what came of the aim's task."""
        wanted = OUTCOMES[self.aim.cell.task]
        return key == self.aim.saga_id.encode() and outcome == wanted.encode()


def _mark(path: Path) -> bool:
    """Make a file that says which process it is; return whether there was none. Others may come by, too."""
    own = path.with_name(f"{path.name}-{os.getpid()}")
    own.write_text(str(os.getpid()))
    try:
        os.link(own, path)  # whole from the first moment on
    except FileExistsError:
        return False
    finally:
        own.unlink()
    return True


def _raise(aim: Aim, error: type[Exception]) -> None:
    text = f"the fault at {aim.cell.point!r}"
    raise error(text) if not issubclass(error, ChoreoError) else error(text, hint="it is a test")


def _kill(aim: Aim, error: type[Exception]) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _pause(aim: Aim, error: type[Exception]) -> None:
    os.kill(os.getpid(), signal.SIGSTOP)


def _reset(aim: Aim, error: type[Exception]) -> None:
    """Have the proxy reset our connections; go on once it has."""
    with socket.create_connection(("127.0.0.1", aim.control), 10) as control:
        control.sendall(b"%d\n" % aim.line)
        if not control.recv(1):
            raise AssertionError("the proxy did not answer")


_STRIKES: dict[str, Callable[[Aim, type[Exception]], None]] = {
    "exception": _raise,
    "kill": _kill,
    "pause": _pause,
    "reset": _reset,
}
