"""The disturbances: what happens to the market, and when; the same seed gives the same forecast."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from heapq import heappop, heappush
from itertools import count
from typing import NamedTuple

from confluent_kafka import KafkaException

from tests.programs.soak.forgeries import Forger
from tests.programs.soak.processes import WEBS, Processes

CALM = (0.5, 4.0)
"""Seconds between two of them."""

SETTINGS = (
    ("cleanup.policy", "compact"),
    ("cleanup.policy", "compact,delete"),
    ("message.timestamp.type", "CreateTime"),
    ("retention.ms", "60000"),
    ("max.message.bytes", "2000"),
)
"""Settings of the topic that somebody changes, and puts right later."""


class Weather(NamedTuple):
    """A kind of disturbance: how often it comes, beside the others, and for how many seconds it lasts."""

    often: int
    seconds: tuple[float, float] = (0.0, 0.0)


KINDS = {
    "kill": Weather(8),
    "pause": Weather(5, (0.5, 5.0)),
    "rebalance": Weather(5),
    "replace": Weather(2, (0.5, 5.0)),
    "broker": Weather(2, (0.2, 3.0)),
    "web": Weather(5),
    "forge": Weather(6),
    "leader": Weather(3, (1.0, 12.0)),
    "disk": Weather(3, (1.0, 8.0)),
    "server": Weather(3, (0.1, 6.0)),
    "clock": Weather(4, (2.0, 20.0)),
    "setting": Weather(1, (20.0, 70.0)),
}
JUMP = (2.0, 7200.0)
"""Seconds that a clock is set ahead or behind."""


class Disturbances:
    """Makes it happen when its time has come; times are seconds since the beginning."""

    def __init__(
        self, processes: Processes, forger: Forger, live: Callable[[], Sequence[str]], seed: int
    ) -> None:
        self._processes, self._forger, self._live = processes, forger, live
        self._chance = random.Random(seed)
        self._next = self._chance.uniform(*CALM)
        self._later: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers: Iterator[int] = count()
        self._lasting: set[str] = set()

    def turn(self, now: float) -> None:
        """Let happen what is due; whoever has ended comes back."""
        while self._later and self._later[0][0] <= now:
            self._end(now)
        self._processes.revive()
        self._processes.serve()
        if now >= self._next:
            self._next = now + self._chance.uniform(*CALM)
            self._strike(now)

    def clear(self) -> None:
        """Let it be fine: all that is paused goes on, what is down comes back."""
        while self._later:
            self._end(self._later[0][0])

    def _strike(self, now: float) -> None:
        names = list(KINDS)
        kind = self._chance.choices(names, [KINDS[name].often for name in names])[0]
        seconds = self._chance.uniform(*KINDS[kind].seconds)
        getattr(self, f"_{kind}")(now + seconds, self._chance.choice(self._processes.names))

    def _kill(self, _: float, name: str) -> None:
        self._processes.strike(name)

    def _rebalance(self, _: float, name: str) -> None:
        self._processes.rebalance(name)

    def _pause(self, until: float, name: str) -> None:
        self._after(until, self._processes.pause(name))

    def _replace(self, until: float, name: str) -> None:
        self._after(until, self._processes.replace(name))

    def _web(self, _: float, __: str) -> None:
        self._processes.strike_web(self._chance.choice(WEBS))

    def _forge(self, _: float, __: str) -> None:
        self._processes.counts["forged"] += 1
        self._forger.forge(self._live())

    def _broker(self, until: float, _: str) -> None:
        by_force = self._chance.random() < 0.5
        self._once("broker", until, lambda: self._processes.end_broker(by_force))

    def _leader(self, until: float, _: str) -> None:
        self._once("leader", until, self._processes.pause_leader)

    def _disk(self, until: float, _: str) -> None:
        self._once("disk", until, self._processes.fill_disk)

    def _server(self, until: float, _: str) -> None:
        by_force = self._chance.random() < 0.5
        self._once("server", until, lambda: self._processes.end_server(by_force))

    def _clock(self, until: float, _: str) -> None:
        seconds = self._chance.choice((-1, 1)) * self._chance.uniform(*JUMP)
        self._once("clock", until, lambda: self._processes.jump(seconds))

    def _setting(self, until: float, _: str) -> None:
        key, value = self._chance.choice(SETTINGS)
        right = self._processes.settings.get(key)

        def change() -> Callable[[], None]:
            self._processes.counts["settings"] += 1
            self._processes.set(key, value)
            return lambda: self._processes.set(key, right)

        if "broker" not in self._lasting and "leader" not in self._lasting:
            with suppress(KafkaException):  # nobody answers just now
                self._once("setting", until, change)

    def _once(self, kind: str, until: float, begin: Callable[[], Callable[[], None]]) -> None:
        """Begin what must not begin again before it has ended."""
        if kind in self._lasting:
            return
        end = begin()
        self._lasting.add(kind)

        def over() -> None:
            end()
            self._lasting.discard(kind)

        self._after(until, over)

    def _end(self, now: float) -> None:
        """End the first of what lasts; a setting waits until there is somebody to take it."""
        _, _, end = heappop(self._later)
        try:
            end()
        except KafkaException:
            self._after(now + 1.0, end)

    def _after(self, moment: float, what: Callable[[], None]) -> None:
        heappush(self._later, (moment, next(self._numbers), what))
