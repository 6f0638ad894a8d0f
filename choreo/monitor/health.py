"""``Health``: whether a worker is alive, and whether it is ready, as a platform that restarts it asks.

Alive and ready are told apart as Kubernetes' probes do: who isn't alive is restarted, who isn't ready is
waited for. So the cluster's health, or the database's, never ends a process that a restart would not help.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

from choreo.ports import Clock
from choreo.worker.progress import Progress

SILENT_SECONDS: Final = 300.0
"""Seconds without the end of a turn after which a worker is not alive: the group gives it up by then, too."""


class Answer(NamedTuple):
    """Whether it holds, and why or why not, in one line."""

    holds: bool
    text: str


class Health:
    """The health of one worker; any thread may ask. ``is_live`` is `Worker.is_live`."""

    def __init__(self, progress: Progress, is_live: Callable[[], bool], clock: Clock) -> None:
        self._progress = progress
        self._is_live = is_live
        self._clock = clock

    def alive(self) -> Answer:
        """Return whether turns go on; also while it starts, and while it waits for its store."""
        turned = self._progress.turned
        if turned is None:
            return Answer(True, "starts")
        age = self._clock.monotonic() - turned
        if age > SILENT_SECONDS:
            return Answer(False, f"no turn has ended for {age:.0f} s")
        return Answer(True, f"the last turn ended {age:.1f} s ago")

    def ready(self) -> Answer:
        """Return whether it acts: its store is there, and what its topics held at the start is folded.

        A spare has nothing to fold. A platform that waits for it, before it ends a worker that has
        partitions, would wait for ever.
        """
        progress = self._progress
        away = progress.away
        if away is not None:
            return Answer(False, f"waits for its store, for {self._clock.monotonic() - away:.0f} s")
        if progress.turned is None:
            return Answer(False, "starts")
        if progress.catching_up:
            return Answer(False, f"catches up with its topics: {progress.catching_up} partitions to go")
        if progress.is_spare:
            return Answer(True, "is a spare: its group has no partition for it")
        if not self._is_live():
            return Answer(False, "has no partition yet")
        return Answer(True, "is live")
