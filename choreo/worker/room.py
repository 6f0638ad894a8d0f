"""``Room``: says when steps wait for room for a call, and when calls hang."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from typing import Final

from choreo import telemetry
from choreo.ports import Clock, Store
from choreo.records import Lane
from choreo.worker.calls import Calls

log = logging.getLogger("choreo.worker")

_PATIENCE_MS = 1_000
"""How long a step may wait for room, or a call may hang, before it is worth a line."""

_STEPS: Final[dict[Lane, str]] = {"call": "actions", "undo": "compensations"}


class Room:
    """Watches the calls of one participant, and logs each change once; `look` is called once a second."""

    def __init__(self, participant: str, calls: Calls, store: Store, clock: Clock) -> None:
        self._participant = participant
        self._calls = calls
        self._store = store
        self._clock = clock
        self._lacking: dict[Lane, int] = {}
        self._said = 0
        self._metrics = {
            state: telemetry.Level(f"choreo.calls.{state}", {"participant": participant})
            for state in ("out", "waiting", "hanging")
        }

    def look(self) -> None:
        """Compare with the last look, and log what has changed."""
        if not self._calls.is_open:
            return
        now = self._clock.now()
        waiting = sum(self._look_at(lane, now) for lane in _STEPS)
        hanging = self._look_at_hanging(now)
        self._metrics["out"].set(self._calls.out)
        self._metrics["waiting"].set(waiting)
        self._metrics["hanging"].set(hanging)

    def _look_at(self, lane: Lane, now: int) -> int:
        """Return how many steps of a lane wait for room."""
        if self._calls.room(lane) and lane not in self._lacking:
            return 0
        count, since = self._store.waiting(lane, now)
        if lane in self._lacking and not count:
            seconds = (now - self._lacking.pop(lane)) / 1000
            log.warning(
                "%s: there is room for %s again, after %.0f s", self._participant, _STEPS[lane], seconds
            )
        elif lane not in self._lacking and count and now - since >= _PATIENCE_MS:
            self._lacking[lane] = since
            log.warning(
                "%s: no room for another call: %d %s wait, the first since %s; %d calls are under way "
                "(hint: see why they take long, or give --calls N)",
                self._participant,
                count,
                _STEPS[lane],
                _time(since),
                self._calls.out,
            )
        return count

    def _look_at_hanging(self, now: int) -> int:
        """Return how many calls hang; their number is said when it has doubled, and at 0."""
        hanging = [call for call, since in self._calls.hanging() if now - since >= _PATIENCE_MS]
        if self._said and not hanging:
            self._said = 0
            log.warning("%s: every call that hung has ended", self._participant)
        elif hanging and len(hanging) >= 2 * self._said:
            self._said = len(hanging)
            log.warning(
                "%s: %d calls hang: they go on after their timeout, or after 5 minutes where there is none; "
                "the first is %s for saga_id=%s (hint: give their clients a timeout, and never block the "
                "event loop; they take no room, unless they become very many)",
                self._participant,
                len(hanging),
                hanging[0].handler.name,
                hanging[0].item.saga_id,
            )
        return len(hanging)


def _time(milliseconds: int) -> str:
    return datetime.fromtimestamp(milliseconds / 1000, UTC).isoformat(timespec="seconds")
