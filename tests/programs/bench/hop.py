"""How long one hop takes: from an event's publication to the sight of the event that it caused."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from statistics import quantiles
from typing import Any
from uuid import uuid4

from confluent_kafka import Consumer

from examples.orders.contract import order_fulfilment
from tests.programs.bench.feed import Feed
from tests.programs.bench.processes import process, run_arguments
from tests.programs.bench.site import Site


def measure(where: Site, rate: int, seconds: int) -> dict[str, Any]:
    """Return percentiles of choreo's hop, and of the floor's beside it."""
    floor = percentiles(_floor_hops(where, rate, seconds))
    ours = percentiles(_choreo_hops(where, rate, seconds))
    return {
        "bench": "hop",
        "broker": where.broker,
        "p50_ms": ours[0],
        "p99_ms": ours[1],
        "rate": rate,
        "floor_p50_ms": floor[0],
        "floor_p99_ms": floor[1],
        "hops": rate * seconds,
    }


def _choreo_hops(where: Site, rate: int, seconds: int) -> list[float]:
    topic = order_fulfilment.topic
    where.create(topic)
    with process(*run_arguments(where, "inventory", where.folder / "hop.db")):
        return hops(where, topic, topic, rate, seconds)


def _floor_hops(where: Site, rate: int, seconds: int) -> list[float]:
    topic, out = where.topic(), where.topic()
    folder = where.folder / "hop-floor"
    folder.mkdir()
    settings = json.dumps(where.consumer_settings)
    with process(
        sys.executable, "-m", "tests.programs.bench.floor", where.bootstrap, str(folder), topic, out, settings
    ):
        return hops(where, topic, out, rate, seconds)


def hops(where: Site, topic: str, out: str, rate: int, seconds: int) -> list[float]:
    """Return the milliseconds of hops: orders are sent at a rate, and answered on the topic ``out``."""
    feed, seen = Feed(where.bootstrap), _Hops()
    with watching(where, out) as watcher:
        seen.warm_up(feed, topic, watcher)
        begun = time.perf_counter()
        for number in range(rate * seconds):
            seen.sent[feed.order(topic)] = time.perf_counter()
            feed.poll()
            while (left := begun + (number + 1) / rate - time.perf_counter()) > 0:
                seen.see(watcher.poll(left))
        seen.see_the_rest(watcher)
    return seen.milliseconds


class _Hops:
    """Orders that were sent and the events that answered them."""

    def __init__(self) -> None:
        self.sent: dict[str, float] = {}
        self.milliseconds: list[float] = []

    def see(self, message: Any) -> None:
        if message is None or message.error():
            return
        headers = dict(message.headers())
        sent = self.sent.pop(headers["ce_subject"].decode(), None) if is_answer(headers) else None
        if sent is not None:
            self.milliseconds.append((time.perf_counter() - sent) * 1000)

    def warm_up(self, feed: Feed, topic: str, watcher: Consumer) -> None:
        deadline = time.monotonic() + 60
        self.sent[feed.order(topic)] = time.perf_counter()
        while self.sent and time.monotonic() < deadline:
            feed.poll()
            self.see(watcher.poll(0.05))
        if self.sent:
            raise TimeoutError("the participant answered nothing within 60 s")
        self.milliseconds.clear()

    def see_the_rest(self, watcher: Consumer) -> None:
        deadline = time.monotonic() + 10
        while self.sent and time.monotonic() < deadline:
            self.see(watcher.poll(0.05))
        if self.sent:
            raise TimeoutError(f"{len(self.sent)} orders were not answered")


def is_answer(headers: dict[str, bytes]) -> bool:
    """Whether a record with these headers answers an order."""
    return headers["ce_type"] == b"shop.InventoryReserved"


@contextmanager
def watching(where: Site, topic: str) -> Iterator[Consumer]:
    """Open a consumer of a topic, from its beginning."""
    settings = {"bootstrap.servers": where.bootstrap, "group.id": uuid4().hex, "fetch.wait.max.ms": 5}
    consumer = Consumer({**settings, "auto.offset.reset": "earliest", **where.consumer_settings})
    consumer.subscribe([topic])
    yield consumer
    consumer.close()


def percentiles(values: list[float]) -> tuple[float, float]:
    """Return the median, and what one of a hundred exceeds."""
    cuts = quantiles(values, n=100)
    return round(cuts[49], 1), round(cuts[98], 1)
