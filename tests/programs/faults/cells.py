"""The cells of the fault matrix: points of the turn × faults × tasks; and why some of them are empty."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

POINTS: Final = {
    "taken": "the log gave the trigger, nothing else happened yet",
    "begun": "the turn's transaction is open",
    "positions moved": "the position was written, in the open transaction",
    "protocol folded": "the protocol has decided, nothing is written yet",
    "handler half done": "the handler has written one of its two rows",
    "saga_log written": "the entry was inserted, in the open transaction",
    "outbox written": "the outcome was inserted, in the open transaction",
    "commit sent": "COMMIT was handed to SQLite",
    "committed before produce": "the turn is durable, nobody was told",
    "produced before ack": "the outcome was handed to the log, which has not answered",
    "acked before marked": "the log holds the outcome, the outbox does not know",
    "offset committed": "the lag monitors were told",
    "call started": "the call has done its work in the world, once",
    "call finished before commit": "its result is being committed",
    "deadline claimed": "the row was taken off the schedule, in the open transaction",
    "dead letter written": "the letter was inserted, in the open transaction",
    "rebalance in between": "the trigger was taken, then its partition was revoked",
}
"""In the order of the turn; what has happened when the fault strikes there."""

FAULTS: Final = {
    "exception": "the port raises: the process ends with an error and is started again",
    "kill": "kill -9, and the process is started again",
    "pause": "SIGSTOP until the group has given the member up, then SIGCONT; every other seed, a second"
    " worker takes the store over meanwhile",
    "reset": "the connections to the broker are reset by a proxy between them",
}

TASKS: Final = ("action", "compensation", "deadline")

CALLS: Final = ("call started", "call finished before commit")
"""The points that only a handler outside of the transaction comes to."""


OUTSIDE: Final = (
    "taken",
    "committed before produce",
    "produced before ack",
    "acked before marked",
    "offset committed",
    "call started",
    "rebalance in between",
)
"""The points at which no transaction need be open: a second worker can work while the first is paused."""


class Cell(NamedTuple):
    """One cell of the matrix."""

    point: str
    fault: str
    task: str

    def __str__(self) -> str:
        return f"{self.point} × {self.fault} × {self.task}"

    @property
    def empty_because(self) -> str:
        """Why there is nothing to strike here; empty where there is."""
        if self.point in CALLS and self.task == "deadline":
            return "a deadline's handler always runs inside the turn: there is no call"
        if self.point == "positions moved" and self.task == "deadline":
            return "a deadline comes from the schedule, not from the log: no position moves"
        if self.point == "deadline claimed" and self.task != "deadline":
            return f"the trigger of this {self.task} comes from the log: nothing is claimed from the schedule"
        return ""


def matrix() -> Iterator[Cell]:
    """Return every cell, empty ones too."""
    for point in POINTS:
        for fault in FAULTS:
            for task in TASKS:
                yield Cell(point, fault, task)
