"""What metrics and traces cost: whole sagas over five processes, with neither, scraped, and traced."""

from __future__ import annotations

import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from statistics import median, quantiles
from typing import Any, NamedTuple

from tests.postgresql.server import free_port
from tests.programs.bench.sagas import ORDERS, Watched, run
from tests.programs.bench.site import site
from tests.scenarios.otlp import receiving

WAYS = ("neither", "metrics", "traces")

_FIRST_TRY, _SCRAPED_EVERY = 0.2, 10.0
"""Seconds between two tries of the first scrape, of a process that warms up, and between two scrapes.

Prometheus has 60 between two unless told otherwise.
"""


_WARM_UP = 500
"""Sagas that run first: a broker that has just started is slow, by another time in each run."""


class Cost(NamedTuple):
    """The milliseconds that a saga takes, and those of processor time that all processes take for it."""

    time_ms: float
    processor_ms: float


def measure(broker: str, sagas: int, rounds: int) -> dict[str, Any]:
    """Return what a saga costs in each way, and how many percent more than with neither in the same round.

    All are medians over the rounds; two more figures are the quartiles of the percentages.
    """
    found: dict[str, list[Cost]] = {way: [] for way in WAYS}
    for number in range(rounds):
        first = number % len(WAYS)
        for way in WAYS[first:] + WAYS[:first]:
            found[way].append(_cost(broker, way, sagas))
    figures: dict[str, Any] = {"bench": "overhead", "broker": broker, "sagas": sagas, "rounds": rounds}
    for way in WAYS:
        for kind in Cost._fields:
            figures[f"{way}_{kind}"] = round(median(getattr(each, kind) for each in found[way]), 2)
    for way in WAYS[1:]:
        pairs = list(zip(found[way], found["neither"], strict=True))
        for kind in Cost._fields:
            more = [100 * (getattr(ours, kind) / getattr(bare, kind) - 1) for ours, bare in pairs]
            name = f"{way}_{kind.removesuffix('_ms')}_percent"
            figures[name] = round(median(more), 1)
            figures[f"{name}_quartiles"] = [round(each, 1) for each in quantiles(more)[::2]]
    return figures


def _cost(broker: str, way: str, sagas: int) -> Cost:
    with site(broker) as where, _WATCHED[way]() as watched:
        ended = run(where, ORDERS, sagas, watched, _WARM_UP)
    return Cost(1000 * ended.seconds / sagas, 1000 * ended.processor_seconds / sagas)


@contextmanager
def _unwatched() -> Iterator[Watched]:
    yield Watched()


@contextmanager
def _traced() -> Iterator[Watched]:
    """Let each process export its spans in batches, with the settings that the exporter has by itself."""
    with receiving(keeps=False) as receiver:
        yield Watched({"OTEL_EXPORTER_OTLP_ENDPOINT": receiver.address})


@contextmanager
def _scraped() -> Iterator[Watched]:
    """Ask each process for its metrics again and again."""
    ports = {name: free_port() for name in (ORDERS.starter.name, *ORDERS.others)}
    ended = threading.Event()
    answered: set[int] = set()

    def scrape() -> None:
        while not ended.wait(_SCRAPED_EVERY if len(answered) == len(ports) else _FIRST_TRY):
            waiting = set(ports.values()) - answered
            for port in waiting or ports.values():
                with suppress(OSError):  # its process starts, or has ended
                    urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10).read()
                    answered.add(port)

    thread = threading.Thread(target=scrape)
    thread.start()
    try:
        yield Watched(options=lambda name: ("--admin", str(ports[name])))
    finally:
        ended.set()
        thread.join()


_WATCHED = {"neither": _unwatched, "metrics": _scraped, "traces": _traced}
