"""Prints every figure as a line of JSON: ``python -m tests.bench [--quick]``."""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any

from tests.bench import footprint, hop, participant, sagas
from tests.bench.site import site


def main() -> None:
    """Measure on the embedded broker, then on a real Kafka."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench")
    parser.add_argument("--quick", action="store_true", help="smaller numbers, rougher figures")
    parser.add_argument("--only", default="", help="participant, sagas, hop or footprint")
    parser.add_argument("--broker", default="", help="embedded or kafka")
    options = parser.parse_args()
    for broker in [options.broker] if options.broker else ["embedded", "kafka"]:
        with site(broker) as where:
            if options.only in ("", "participant"):
                show(
                    participant.measure(where, 4_000 if options.quick else 10_000, 1 if options.quick else 3)
                )
            if options.only in ("", "sagas"):
                show(sagas.measure(where, 200 if options.quick else 2_000))
            if options.only in ("", "hop"):
                show(hop.measure(where, rate=50, seconds=4 if options.quick else 20))
            if broker == "embedded" and options.only in ("", "footprint"):
                show(footprint.measure(where, seconds=3 if options.quick else 10))


def show(figures: dict[str, Any]) -> None:
    """Print one line."""
    print(json.dumps(figures))
    sys.stdout.flush()


if __name__ == "__main__":
    main()
