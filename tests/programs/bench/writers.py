"""A web process that writes while the worker catches up: how long it waits, and what it costs the worker."""

from __future__ import annotations

import subprocess
import sys
import time
from statistics import quantiles
from typing import Any

from examples.orders.inventory import inventory
from tests.programs.bench.site import Site
from tests.programs.bench.work import at_work

_WEB = """
import sys, time
from choreo.store.sqlite.store import SQLiteStore
store = SQLiteStore(sys.argv[1])
while True:
    began = time.monotonic()
    with store.turn():
        store.db.execute("update stock set available = available")
    print(time.monotonic() - began, flush=True)
    time.sleep(0.01)
"""


def measure(where: Site, events: int) -> dict[str, Any]:
    """Return the worker's events a second alone and beside the web process, and the waits of the latter."""
    alone, _ = _catch_up(where, events, web=False)
    beside, waits = _catch_up(where, events, web=True)
    return {
        "bench": "writers",
        "broker": where.broker,
        "events_per_s_alone": round(alone),
        "events_per_s": round(beside),
        "web_transactions": len(waits),
        "web_p99_ms": round(1000 * quantiles(waits, n=100)[-1], 1),
        "web_max_ms": round(1000 * max(waits), 1),
    }


def _catch_up(where: Site, events: int, *, web: bool) -> tuple[float, list[float]]:
    with at_work(where, inventory) as work:
        work.store.db.execute("update stock set available = 1000000000")
        work.feed.orders(work.topic, events)
        (path,) = [row[2] for row in work.store.db.execute("pragma database_list") if row[1] == "main"]
        process = None
        if web:
            process = subprocess.Popen([sys.executable, "-c", _WEB, path], stdout=subprocess.PIPE, text=True)
        began = time.monotonic()
        work.until_done(2 * events)
        seconds = time.monotonic() - began
    told = ""
    if process is not None:
        process.terminate()
        told, _ = process.communicate()
    return events / seconds, [float(line) for line in told.split()]
