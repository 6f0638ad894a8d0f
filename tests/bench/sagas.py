"""Whole sagas: five participants as five processes, from the first order placed to the last one ended."""

from __future__ import annotations

import time
from contextlib import ExitStack
from typing import Any

import choreo
from choreo.store import SQLiteStore
from examples.orders.contract import OrderCreated, order_fulfilment
from examples.orders.orders import orders, place_order
from tests.bench.processes import process, run_arguments
from tests.bench.site import Site

PARTICIPANTS = ("orders", "inventory", "payments", "shipping", "notifications")


def measure(where: Site, count: int) -> dict[str, Any]:
    """Give the sagas completed a second."""
    folder = where.folder / "sagas"
    folder.mkdir()
    where.create(order_fulfilment.topic)
    choreo.connect(orders, folder / "orders.db")
    with ExitStack() as running:
        for name in PARTICIPANTS:
            running.enter_context(process(*run_arguments(where, name, folder / f"{name}.db")))
        _place(1, "warm-up")
        _wait(folder, 1)
        begun = time.perf_counter()
        _place(count, "order")
        _wait(folder, count + 1)
        seconds = time.perf_counter() - begun
    return {
        "bench": "sagas",
        "broker": where.broker,
        "sagas_per_s": round(count / seconds, 1),
        "participants": len(PARTICIPANTS),
        "sagas": count,
    }


def _place(count: int, prefix: str) -> None:
    for number in range(count):
        place_order(OrderCreated(f"{prefix}-{number}", "ada", "apple", 1, 100, "home"))


def _wait(folder: Any, count: int) -> None:
    store = SQLiteStore(folder / "orders.db")
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline:
        (done,) = store.db.execute("select count(*) from orders where status = 'fulfilled'").fetchone()
        if done >= count:
            break
        time.sleep(0.02)
    else:
        raise TimeoutError("the sagas did not end within 300 s")
    store.close()
