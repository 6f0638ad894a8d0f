"""``Progress``: what a worker has done, and what it waits for, as plain numbers for other threads."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from choreo.records import Partition
from choreo.worker.tally import Tally


class Progress:
    """The progress of one worker since its start; it writes, and any thread may read.

    ``turned`` is the time (`Clock.monotonic`) at which the last turn ended, or asked for its store again in
    vain; None before the end of the first.
    ``turns`` counts the turns that processed something, ``items`` what they processed, and ``seconds`` is the
    time that they took, without the wait for the log. ``lag`` holds how many offsets each assigned partition
    has to its end, looked up once a second. ``catching_up`` is the number of partitions whose records of
    before the assignment are not folded yet, also where nobody tells how many there are, ``leaderless`` of
    those that no broker leads. ``is_spare`` is whether its group has no partition for it.
    ``counted`` is what a `Tally` has.
    """

    __slots__ = (
        *("_tally", "_waits", "catching_up", "is_spare", "items", "lag", "leaderless", "seconds", "turned"),
        "turns",
    )

    def __init__(self, tally: Tally | None = None) -> None:
        self._tally = tally or Tally()
        self.turned: float | None = None
        self.turns = 0
        self.items = 0
        self.seconds = 0.0
        self.lag: Mapping[Partition, int] = MappingProxyType({})
        self.catching_up = 0
        self.leaderless = 0
        self.is_spare = False
        self._waits: tuple[float, float | None] = (0.0, None)

    @property
    def counted(self) -> Mapping[tuple[str, str], int]:
        """What was repeated, refused or without effect in committed turns."""
        return self._tally.committed

    @property
    def away(self) -> float | None:
        """Since when (`Clock.monotonic`) the store is waited for; None while it is there."""
        return self._waits[1]

    def waited(self, now: float) -> float:
        """Return for how many seconds the store was waited for, up to now."""
        before, away = self._waits
        return before if away is None else before + max(now - away, 0.0)

    def wait(self, now: float) -> None:
        """Note that the store is away: whoever asks for it again is alive, also within a turn."""
        if self.away is None:
            self._waits = (self._waits[0], now)
        if self.turned is not None:
            self.turned = now

    def is_there(self, now: float) -> None:
        """Note that the store is there again."""
        self._waits = (self.waited(now), None)

    def turn(self, items: int, seconds: float, now: float) -> None:
        """Count a turn that has ended."""
        self.turned = now
        if items:
            self.turns += 1
            self.items += items
            self.seconds += seconds
