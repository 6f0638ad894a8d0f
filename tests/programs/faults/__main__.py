"""The whole fault matrix: ``python -m tests.programs.faults``, or a part of it: ``--only pause``.

Exits with 1 where something that must be true is not, with 3 where a broker can't be had.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from shutil import rmtree
from tempfile import mkdtemp

from tests.broker.kafka import BrokerFailed
from tests.broker.kafka_jars import Unavailable
from tests.programs.faults.cells import FAULTS, TASKS, Cell, matrix
from tests.programs.faults.shared_kafka import Trial, open_shared_kafka
from tests.programs.faults.trial import Result
from tests.stores import in_postgresql, own_server


def main() -> int:
    """Hold all trials; print each, then the table; give the exit code."""
    asked = _asked()
    cells = [cell for cell in matrix() if all(word in str(cell) for word in asked.only)]
    trials = [(cell, seed) for seed in range(asked.seeds) for cell in cells if not cell.empty_because]
    folder = Path(mkdtemp(prefix="choreo-faults-"))
    began = time.monotonic()
    try:
        results = _hold_all(trials, folder, asked.places, asked.replicas)
    except (Unavailable, BrokerFailed) as error:
        print(f"no real Kafka here: {error}", file=sys.stderr)
        return 3
    _print_table(cells, results)
    violated = [each for each in results if each.violations]
    print(f"\n{len(cells)} cells, {sum(not cell.empty_because for cell in cells)} applicable, ", end="")
    print(f"{len(results)} of {len(trials)} trials in {time.monotonic() - began:.0f} s; ", end="")
    print(f"{sum(each.repeated for each in results)} records came twice; {len(violated)} violations")
    if not violated:
        rmtree(folder)
        return 0 if len(results) == len(trials) else 130
    print(f"what the processes said: {folder}")
    return 1


def _asked() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.programs.faults", description=__doc__)
    parser.add_argument("--seeds", type=int, default=2, help="seeds a cell (2)")
    parser.add_argument("--places", type=int, default=4, help="trials at the same time (4)")
    parser.add_argument("--replicas", type=int, default=1, help="processes a participant (1), in PostgreSQL")
    parser.add_argument("--only", action="append", default=[], help="cells whose name has this text")
    asked = parser.parse_args()
    if asked.replicas > 1 and not in_postgresql():
        parser.error("a SQLite store serves one process (hint: STORE=postgresql)")
    return asked


def _hold_all(trials: Sequence[Trial], folder: Path, places: int, replicas: int) -> list[Result]:
    """Hold trials; Ctrl-C ends them, and what there is so far is told."""
    results: list[Result] = []
    with (
        own_server(),
        open_shared_kafka(folder, places, replicas) as shared_kafka,
        closing(shared_kafka.hold_all(trials)) as coming,
    ):
        try:
            for number, each in enumerate(coming, 1):
                results.append(each)
                _print_result(f"{number}/{len(trials)}", each)
        except KeyboardInterrupt:
            print("interrupted: ending the trials that are under way", file=sys.stderr)
    return results


def _print_result(count: str, each: Result) -> None:
    ends = f" ({', '.join(each.ends)})" if each.ends else ""
    print(f"{count:>8} {each.seconds:5.1f} s  {each.cell}, seed {each.seed}{ends}", flush=True)
    for said in each.violations:
        print(f"         VIOLATION {said}", flush=True)


def _print_table(cells: Sequence[Cell], results: Sequence[Result]) -> None:
    """Print how many trials of each cell went well, task by task; ! is a violation."""
    good = {(each.cell, each.seed) for each in results if not each.violations}
    bad = {each.cell for each in results if each.violations}

    def entry(cell: Cell) -> str:
        count = str(sum(found == cell for found, _ in good))
        return "-" if cell.empty_because else f"{count}!" if cell in bad else count

    print(f"\n{'':30}" + "".join(f"{fault:>14}" for fault in FAULTS) + f"    ({', '.join(TASKS)})")
    for point in dict.fromkeys(cell.point for cell in cells):
        rows = [" ".join(entry(Cell(point, fault, task)) for task in TASKS) for fault in FAULTS]
        print(f"{point:30}" + "".join(f"{each:>14}" for each in rows))
    for reason in dict.fromkeys((cell.point, cell.empty_because) for cell in cells if cell.empty_because):
        print(f"  - {reason[0]}: {reason[1]}")


if __name__ == "__main__":
    sys.exit(main())
