"""What an idle participant costs, and how long the command line takes to answer."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path
from statistics import median
from typing import Any

from examples.orders.contract import order_fulfilment
from tests.programs.bench.processes import CHOREO, process, processor_seconds, run_arguments
from tests.programs.bench.site import Site


def measure(where: Site, seconds: int) -> dict[str, Any]:
    """Return resident memory and processor time of an idle participant, and the time of ``choreo --help``."""
    where.create(order_fulfilment.topic)
    with process(*run_arguments(where, "inventory", where.folder / "idle.db")) as child:
        time.sleep(5)
        before = processor_seconds(child.pid)
        time.sleep(seconds)
        busy = processor_seconds(child.pid) - before
        resident = resident_mib(child.pid)
    return {
        "bench": "footprint",
        "broker": where.broker,
        "rss_mib": round(resident, 1),
        "idle_cpu_percent": round(100 * busy / seconds, 2),
        "help_s": round(median(_help_seconds() for _ in range(7)), 3),
    }


def resident_mib(pid: int) -> float:
    """Return a process's resident memory in MiB."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) / 1024


def _help_seconds() -> float:
    begun = time.perf_counter()
    subprocess.run([CHOREO, "--help"], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - begun
