"""How long a worker takes to start on a store that is full of sagas in flight, by what a release changed."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any
from unittest.mock import patch

from choreo import Aborted, Context, Participant
from choreo.avro import AvroCodec
from choreo.errors import ReleaseRefused
from choreo.kafka import KafkaLog
from choreo.store.sqlite.store import SQLiteStore
from choreo.worker import Worker
from choreo.worker.clock import SystemClock
from examples.orders.contract import (
    InventoryReserved,
    InventoryUnavailable,
    OrderCreated,
    ReservationReleased,
    order_fulfilment,
)
from tests.programs.bench.feed import Feed
from tests.programs.bench.site import Site
from tests.programs.bench.work import seconds_until

_AT_A_TIME = 2_000
"""The sagas that are copied in one turn."""


def measure(where: Site, rows: int) -> dict[str, Any]:
    """Return the seconds of each start in a row, with so many rows of sagas whose step may be compensated."""
    path, topic = where.folder / "start.db", where.topic()
    releases: dict[str, Callable[[], Participant]] = {
        "unchanged": _inventory,
        "new_observer": lambda: _inventory(watches=True),
        "rolled_back": _inventory,
        "refused": lambda: _inventory(reserves=False, watches=True),
    }
    with patch.object(order_fulfilment, "topic", topic):
        sagas = _fill(where, SQLiteStore(path), topic, rows)
        seconds = {name: _start(where, SQLiteStore(path), make()) for name, make in releases.items()}
    return {"bench": "start", "broker": where.broker, "rows": rows, "sagas": sagas, "seconds": seconds}


def _inventory(*, reserves: bool = True, watches: bool = False) -> Participant:
    inventory = Participant("inventory", sagas=[order_fulfilment])
    if reserves:

        @inventory.action(fails=InventoryUnavailable)
        def reserve(event: OrderCreated) -> InventoryReserved:
            return InventoryReserved(event.order_id, "ada", 100, "home")

        @inventory.compensation(of=reserve)
        def release(event: Aborted, ctx: Context) -> ReservationReleased:
            return ReservationReleased(ctx.saga_id)

    if watches:

        @inventory.observer
        def watch(event: InventoryReserved) -> None: ...

    return inventory


def _fill(where: Site, store: SQLiteStore, topic: str, rows: int) -> int:
    """Let one order come, and copy what the store holds of it; return the number of sagas."""
    log, participant = _log(where), _inventory()
    worker = Worker(participant, store, log, AvroCodec(participant.events), SystemClock())
    try:
        worker.start()
        seconds_until(lambda: bool(worker.turn()) or worker.is_live)
        saga_id, saga = Feed(where.bootstrap).orders(topic, 1)[0], order_fulfilment.name

        def is_folded() -> bool:
            worker.turn()
            return bool(store.history(saga_id, saga)) and not store.unpublished(0, 1) and not worker.turn()

        seconds_until(is_folded)
        taken = store.history(saga_id, saga)
        sagas = rows // len(taken)
        for first in range(0, sagas, _AT_A_TIME):
            with store.turn():
                for number in range(first, min(first + _AT_A_TIME, sagas)):
                    store.append(
                        entry._replace(saga_id=f"copy-{number}", event_id=f"{entry.event_id}-{number}")
                        for entry in taken
                    )
        return sagas
    finally:
        worker.stop()
        log.close()
        store.close()


def _start(where: Site, store: SQLiteStore, participant: Participant) -> float:
    """Return the seconds until a worker has started, or is refused."""
    log = _log(where)
    try:
        begun = time.perf_counter()
        worker = Worker(participant, store, log, AvroCodec(participant.events), SystemClock())
        with suppress(ReleaseRefused):
            worker.start()
            took = time.perf_counter() - begun
            worker.stop()
            return round(took, 3)
        return round(time.perf_counter() - begun, 3)
    finally:
        log.close()
        store.close()


def _log(where: Site) -> KafkaLog:
    return KafkaLog(where.bootstrap, "inventory", embedded=where.embedded)
