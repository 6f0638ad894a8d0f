"""Prints every figure as a line of JSON: ``python -m tests.programs.bench [--quick]``."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tests.programs.bench import (
    calls,
    chain,
    choreographies,
    deadlines,
    fold,
    footprint,
    hop,
    overhead,
    participant,
    postgresql,
    releases,
    replicas,
    sagas,
    start,
    trace,
    waiting,
    writers,
)
from tests.programs.bench.site import Site, site


def main() -> None:
    """Measure on the embedded broker, then on a real Kafka."""
    parser = argparse.ArgumentParser(prog="python -m tests.programs.bench")
    parser.add_argument("--quick", action="store_true", help="smaller numbers, rougher figures")
    parser.add_argument("--only", default="", help="name of one measure, such as sagas")
    parser.add_argument("--broker", default="", help="embedded or kafka")
    options = parser.parse_args()
    quick = options.quick
    measures: dict[str, Callable[[Site], dict[str, Any]]] = {
        "participant": lambda where: participant.measure(
            where, 4_000 if quick else 10_000, 1 if quick else 3
        ),
        "postgresql": lambda where: postgresql.measure(where, 4_000 if quick else 10_000, 1 if quick else 3),
        "replicas": lambda where: replicas.measure(where, 2_000 if quick else 10_000, 4 if quick else 20),
        "sagas": lambda where: sagas.measure(where, sagas.ORDERS, 200 if quick else 2_000),
        "travel": lambda where: sagas.measure(where, sagas.TRAVEL, 200 if quick else 2_000),
        "async": lambda where: calls.measure(where, 2_000 if quick else 5_000, 1 if quick else 3),
        "deadlines": lambda where: deadlines.measure(
            where, 100_000, *((100, 2_000, 1) if quick else (500, 4_000, 3))
        ),
        "waiting": lambda where: waiting.measure(
            where, (2_000, 5_000) if quick else (20_000, 50_000, 100_000)
        ),
        "writers": lambda where: writers.measure(where, 10_000 if quick else 40_000),
        "chain": lambda where: chain.measure(where, 5_000 if quick else 50_000),
        "start": lambda where: start.measure(where, 100_000 if quick else 1_000_000),
        "hop": lambda where: hop.measure(where, rate=50, seconds=4 if quick else 20),
        "footprint": lambda where: footprint.measure(where, seconds=3 if quick else 10),
    }
    chosen = {name: each for name, each in measures.items() if options.only in ("", name)}
    for broker in [options.broker] if options.broker else ["embedded", "kafka"]:
        for measure in chosen.values():
            with site(broker) as where:  # each on a broker of its own: a killed process leaves its group
                show(measure(where))
    if options.only in ("", "overhead"):
        show(overhead.measure(options.broker or "kafka", *((1_000, 3) if quick else (3_000, 12))))
    if options.only in ("", "verify"):
        _verify(quick)
    if options.only in ("", "trace"):
        with TemporaryDirectory(prefix="choreo-bench-") as folder:
            sizes = (1_000, 10_000, 100_000) if quick else (10_000, 100_000, 1_000_000)
            for figures in trace.measure(Path(folder), sizes, 3 if quick else 9):
                show(figures)
    if options.only in ("", "fold"):
        with TemporaryDirectory(prefix="choreo-bench-") as folder:
            show(fold.measure(Path(folder), 100 if quick else 1_000, 3 if quick else 9))


def _verify(quick: bool) -> None:
    sizes = choreographies.SIZES[:2] if quick else choreographies.SIZES
    for figures in choreographies.measure(sizes, 1 if quick else 3):
        show(figures)
    for figures in (*choreographies.table(), *releases.table()):
        show(figures)


def show(figures: dict[str, Any]) -> None:
    """Print one line."""
    print(json.dumps(figures))
    sys.stdout.flush()


if __name__ == "__main__":
    main()
