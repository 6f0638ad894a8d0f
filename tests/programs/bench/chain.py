"""The saga log's chain: what it adds to a row that is written, and how fast it is checked."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing
from typing import Any
from unittest.mock import patch
from uuid import uuid4

from choreo.audit.verification import Verification, all_sagas
from choreo.records import Entry
from choreo.store.sqlite.heads import SQLiteHeads as Heads
from choreo.store.sqlite.store import SQLiteStore
from tests.programs.bench.site import Site

_TURN = 500


def measure(where: Site, sagas: int) -> dict[str, Any]:
    """Write sagas of three rows each, with links and without, in turns of 500; then check them."""
    plain = patch.object(Heads, "chained", lambda self, rows: [(*row, None, None) for row in rows])
    with plain:
        without, _ = _written(where, sagas)
    chained, rate = _written(where, sagas)
    return {
        "bench": "chain",
        "rows": 3 * sagas,
        "us_per_row": round((chained - without) / 3 / sagas * 1e6, 2),
        "append_us_per_row": round(chained / 3 / sagas * 1e6, 2),
        "verify_rows_per_s": round(rate),
    }


def _written(where: Site, sagas: int) -> tuple[float, float]:
    """Return the seconds of this thread that writing took, and rows checked a second."""
    with closing(SQLiteStore(where.folder / f"{uuid4().hex[:8]}.db")) as store:
        began = time.thread_time()
        for number in range(0, sagas, _TURN):
            with store.turn():
                for saga_id in (f"saga-{number + each:012d}" for each in range(_TURN)):
                    store.history(saga_id, "order-fulfilment")
                    store.append(_rows(saga_id))
        seconds = time.thread_time() - began
        began, check = time.perf_counter(), Verification(store.saga_log)
        for saga in all_sagas(store.saga_log):
            check.check(saga)
        return seconds, check.rows / (time.perf_counter() - began)


def _rows(saga_id: str) -> Iterator[Entry]:
    row = Entry(
        *(saga_id, "order-fulfilment", 1, "pending", 1_700_000_000_000, "event", "inventory.reserve"),
        *("pending", "completed", "0f" * 16, "shop.InventoryReserved", "succeeded", "compensatable"),
        *("inventory", "f0" * 16, "order-fulfilment", 3, 123_456, 1_700_000_000_000, b"p" * 60),
    )
    yield from (row, row, row._replace(payload=None))
