"""Memory of a participant whose steps wait for a provider that never answers: they wait in its store."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from choreo import Aborted, Context, Participant
from examples.orders.contract import (
    InventoryReserved,
    InventoryUnavailable,
    OrderCreated,
    ReservationReleased,
    order_fulfilment,
)
from tests.programs.bench.feed import Feed
from tests.programs.bench.footprint import resident_mib
from tests.programs.bench.processes import process, run_arguments
from tests.programs.bench.site import Site
from tests.programs.bench.work import seconds_until

inventory = Participant("inventory", sagas=[order_fulfilment])


@inventory.action(fails=InventoryUnavailable, timeout=None)
async def reserve(event: OrderCreated) -> InventoryReserved:
    """Wait for ever."""
    await asyncio.Event().wait()
    raise AssertionError


@inventory.compensation(of=reserve)
def release(event: Aborted, reserved: InventoryReserved | None, ctx: Context) -> ReservationReleased:
    """Never called."""
    return ReservationReleased(ctx.saga_id)


def measure(where: Site, points: Sequence[int]) -> dict[str, Any]:
    """Return the resident memory with nothing waiting, and with so many steps waiting."""
    topic, store = order_fulfilment.topic, where.folder / "waiting.db"
    where.create(topic)
    feed, resident, fed = Feed(where.bootstrap), {}, 0
    target = "tests.programs.bench.waiting:inventory"
    with process(*run_arguments(where, target, store)) as child:
        time.sleep(5)
        for waiting in (0, *points):
            feed.orders(topic, waiting - fed)
            fed = waiting
            seconds_until(lambda waiting=waiting: _waiting(store) >= waiting)  # type: ignore[misc]
            resident[waiting] = round(resident_mib(child.pid), 1)
    return {"bench": "waiting", "broker": where.broker, "rss_mib": resident}


def _waiting(store: Path) -> int:
    time.sleep(0.5)
    with closing(sqlite3.connect(f"file:{store}?mode=ro", uri=True)) as connection:
        return int(connection.execute("select count(*) from schedule").fetchone()[0])
