"""The disturbances: what happens to the market, and when; the same seed gives the same forecast."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from heapq import heappop, heappush
from itertools import count

from tests.programs.soak.processes import NAMES, Processes

KINDS = ("kill",) * 8 + ("pause",) * 5 + ("rebalance",) * 5 + ("replace",) * 2 + ("broker",) * 2
CALM = (0.5, 4.0)
"""Seconds between two of them."""

PAUSE = (0.5, 5.0)
OUTAGE = (0.2, 3.0)


class Disturbances:
    """Makes it happen when its time has come; times are seconds since the beginning."""

    def __init__(self, processes: Processes, seed: int) -> None:
        self._processes = processes
        self._chance = random.Random(seed)
        self._next = self._chance.uniform(*CALM)
        self._later: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers: Iterator[int] = count()
        self._is_down = False

    def turn(self, now: float) -> None:
        """Let happen what is due; whoever has ended comes back."""
        while self._later and self._later[0][0] <= now:
            heappop(self._later)[2]()
        self._processes.revive()
        if now >= self._next:
            self._next = now + self._chance.uniform(*CALM)
            self._strike(now)

    def clear(self) -> None:
        """Let it be fine: all that is paused goes on, what is down comes back."""
        while self._later:
            heappop(self._later)[2]()

    def _strike(self, now: float) -> None:
        kind, name = self._chance.choice(KINDS), self._chance.choice(NAMES)
        seconds = self._chance.uniform(*(OUTAGE if kind == "broker" else PAUSE))
        if kind == "kill":
            self._processes.strike(name)
        elif kind == "rebalance":
            self._processes.rebalance(name)
        elif kind == "broker":
            if not self._is_down:
                self._is_down = True
                restart = self._processes.end_broker(by_force=self._chance.random() < 0.5)
                self._after(now + seconds, lambda: self._back(restart))
        else:
            self._after(now + seconds, getattr(self._processes, kind)(name))

    def _back(self, restart: Callable[[], None]) -> None:
        restart()
        self._is_down = False

    def _after(self, moment: float, what: Callable[[], None]) -> None:
        heappush(self._later, (moment, next(self._numbers), what))
