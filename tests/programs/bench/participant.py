"""One participant: consume, own row, saga log, outbox, publish; beside it the hand-written floor."""

from __future__ import annotations

from statistics import median
from typing import Any

from choreo.avro import schema_of
from examples.orders.contract import InventoryReserved, OrderCreated
from examples.orders.inventory import inventory
from tests.programs.bench.feed import Feed
from tests.programs.bench.floor import Floor
from tests.programs.bench.site import Site
from tests.programs.bench.work import at_work, seconds_until


def measure(where: Site, events: int, rounds: int) -> dict[str, Any]:
    """Return events a second of both, in turn, and the median of the ratios round by round."""
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
    folder = where.new_folder()
    topic = where.topic()
    schemas = [schema_of(OrderCreated), schema_of(InventoryReserved)]
    floor = Floor(where.bootstrap, folder, topic, where.topic(), where.consumer_settings, schemas)
    return rate_of(floor, where, topic, events)


def rate_of(floor: Floor, where: Site, topic: str, events: int) -> float:
    """Return how many events a second a hand-written participant handles, and leave it."""
    floor.assigned()
    Feed(where.bootstrap).orders(topic, events)
    handled = 0

    def go() -> bool:
        nonlocal handled
        handled += floor.turn()
        return handled == events and floor.waiting == 0

    seconds = seconds_until(go)
    floor.close()
    return events / seconds


def _choreo(where: Site, events: int) -> float:
    with at_work(where, inventory) as work:
        work.store.db.execute("update stock set available = 1000000000")
        work.feed.orders(work.topic, events)
        return events / work.until_done(2 * events)
