"""One participant: consume, own row, saga log, outbox, publish; beside it the hand-written floor."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any
from unittest.mock import patch
from uuid import uuid4

from choreo.avro import AvroCodec, schema_of
from choreo.kafka import KafkaLog
from choreo.store import SQLiteStore
from choreo.worker import Worker
from choreo.worker.clock import SystemClock
from examples.orders.contract import InventoryReserved, OrderCreated, order_fulfilment
from examples.orders.inventory import inventory
from tests.bench.feed import Feed
from tests.bench.floor import Floor
from tests.bench.site import Site


def measure(where: Site, events: int, rounds: int) -> dict[str, Any]:
    """Give events a second of both, in turn, and the median of the ratios round by round."""
    floors, ours, ratios = [], [], []
    for _ in range(rounds):
        floors.append(_floor(where, events))
        ours.append(_choreo(where, events))
        ratios.append(ours[-1] / floors[-1])
    return {
        "bench": "participant",
        "broker": where.broker,
        "events_per_s": round(median(ours)),
        "floor_events_per_s": round(median(floors)),
        "ratio": round(median(ratios), 3),
        "events": events,
        "rounds": rounds,
    }


def _floor(where: Site, events: int) -> float:
    folder = _folder(where)
    topic = where.topic()
    schemas = [schema_of(OrderCreated), schema_of(InventoryReserved)]
    floor = Floor(where.bootstrap, folder, topic, where.topic(), where.consumer_settings, schemas)
    floor.assigned()
    Feed(where.bootstrap).orders(topic, events)
    handled = 0

    def go() -> bool:
        nonlocal handled
        handled += floor.turn()
        return handled == events and floor.waiting == 0

    seconds = _timed(go)
    floor.close()
    return events / seconds


def _choreo(where: Site, events: int) -> float:
    folder = _folder(where)
    topic = where.topic()
    with patch.object(order_fulfilment, "topic", topic):
        store = SQLiteStore(folder / "inventory.db")
        log = KafkaLog(where.bootstrap, f"inventory-{topic}", embedded=where.embedded)
        worker = Worker(inventory, store, log, AvroCodec(inventory.events), SystemClock())
        worker.start()
        store.db.execute("update stock set available = 1000000000")
        while not worker.is_live:
            worker.turn()
        Feed(where.bootstrap).orders(topic, events)
        folded = 0

        def go() -> bool:
            nonlocal folded
            folded += worker.turn()
            return folded >= 2 * events and not store.unpublished(0, 1)

        seconds = _timed(go)
        log.close()
        store.close()
    return events / seconds


def _timed(go: Callable[[], bool]) -> float:
    begun = time.perf_counter()
    while not go():
        if time.perf_counter() - begun > 300:
            raise TimeoutError("no end within 300 s")
    return time.perf_counter() - begun


def _folder(where: Site) -> Path:
    folder = where.folder / uuid4().hex[:8]
    folder.mkdir()
    return folder
