"""Telling one saga of five participants out of stores of many rows; each command is a process."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from statistics import median
from typing import Any

from choreo.client.transaction import new_saga_id
from choreo.envelope import event_id
from choreo.records import Entry
from choreo.store.sqlite.store import SQLiteStore
from examples.orders.contract import OrderCreated
from tests.broker.any_broker import InMemoryBroker
from tests.programs.bench.processes import CHOREO
from tests.scenarios.shop import PARTICIPANTS, Shop

_CHAIN = ("start", "inventory.reserve", "payments.charge", "shipping.ship", "notifications.send")
_TURN = 2_000
_BODY = bytes(50)
_STUCK = 1_000
"""One saga in so many never ends."""


def measure(folder: Path, sizes: Sequence[int], repeats: int) -> Iterator[dict[str, Any]]:
    """Return the seconds of ``choreo trace``, and of two lists, on stores of each size."""
    filler = folder / "filler.db"
    rows = 0
    for size in sizes:
        rows = _fill(filler, rows, size)
        stores = folder / str(size)
        stores.mkdir()
        for each in PARTICIPANTS:
            shutil.copy(filler, stores / f"{each.name}.db")
        saga_id = _order(stores)
        yield {
            "bench": "trace",
            "rows": size,
            "participants": len(PARTICIPANTS),
            "seconds": _seconds(stores, repeats, "trace", saga_id),
            "list_s": _seconds(stores, repeats, "sagas"),
            "stuck_s": _seconds(stores, min(repeats, 3), "sagas", "--stuck", "--limit", "1"),
        }
        shutil.rmtree(stores)


def _fill(path: Path, rows: int, size: int) -> int:
    """Let others' sagas fill a store, as its worker would, until it has so many rows."""
    with closing(SQLiteStore(path)) as store:
        while rows < size:
            with store.turn():
                turn = [entry for number in range(_TURN // 6) for entry in _saga(number + rows)]
                store.append(turn)
                rows += len(turn)
        store.db.conn.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return rows


def _saga(number: int) -> list[Entry]:
    """Return the rows of a saga that has ended, or of one that is stuck in the middle."""
    saga_id, now = new_saga_id(), time.time_ns() // 1_000_000 - 3_600_000
    steps = _CHAIN[:3] if number % _STUCK == 0 else _CHAIN
    rows: list[Entry] = []
    cause = ""
    for offset, step in enumerate(steps):
        kind = "event" if offset else "ended"
        name = f"shop.Event{offset}"
        identity = event_id(saga_id, "order-fulfilment", step, "succeeded", name)
        state = ("started", "pending", "pending", "pending", "completed")[offset]
        owner = step.partition(".")[0] if offset else "orders"
        place = ("order-fulfilment", 0, 10 * number + offset)
        rows.append(
            Entry(
                *(saga_id, "order-fulfilment", 1, state, now + offset, kind, step, "pending", "completed"),
                *(
                    identity,
                    name,
                    "succeeded",
                    "compensatable",
                    owner,
                    cause,
                    *place,
                    now + offset,
                    b"x" * 50,
                ),
            )
        )
        cause = identity
    return rows


def _order(stores: Path) -> str:
    """Run one more saga, of the example, in stores that are full of others."""
    shop = Shop(InMemoryBroker(), stores)
    try:
        saga_id = shop.place(OrderCreated("o-4711", "ada", "apple", 2, 250, "nowhere"))
        shop.until_quiet([saga_id])
    finally:
        shop.close()
    return saga_id


def _seconds(stores: Path, repeats: int, *command: str) -> float:
    return round(median(_once(stores, *command) for _ in range(repeats)), 3)


def _once(stores: Path, *command: str) -> float:
    begun = time.perf_counter()
    done = subprocess.run([CHOREO, *command], cwd=stores, capture_output=True, text=True)
    seconds = time.perf_counter() - begun
    if done.returncode > 1 or not done.stdout:
        raise RuntimeError(f"choreo {' '.join(command)}: {done.stderr}")
    return seconds
