"""The ground on which trials are held side by side: one broker, and a line to it for each of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from pathlib import Path
from queue import SimpleQueue
from shutil import rmtree

from tests.broker.kafka import Broker
from tests.broker.leg import unique
from tests.broker.lines import Lines
from tests.programs.faults.cells import Cell
from tests.programs.faults.trial import Care, Place, Result, hold

Trial = tuple[Cell, int]
"""A cell and a seed."""


class Ground:
    """Holds trials, as many at the same time as there are places."""

    def __init__(self, places: Sequence[Place], folder: Path) -> None:
        self._free: SimpleQueue[Place] = SimpleQueue()
        for each in places:
            self._free.put(each)
        self._count = len(places)
        self._folder = folder

    def hold(self, cell: Cell, seed: int, without: str, seconds: float) -> Result:
        """Hold a trial with a mutant."""
        place = self._free.get()
        try:
            return hold(cell, seed, place, self._folder / unique(without), without=without, seconds=seconds)
        finally:
            self._free.put(place)

    def hold_all(self, trials: Sequence[Trial], care: Care | None = None) -> Iterator[Result]:
        """Give each trial's result as it comes; whoever stops asking ends those that have not begun."""
        with ThreadPoolExecutor(self._count, thread_name_prefix="trial") as pool:
            coming = [pool.submit(self._hold, number, *each, care) for number, each in enumerate(trials)]
            try:
                for each in as_completed(coming):
                    yield each.result()
            finally:
                pool.shutdown(cancel_futures=True)

    def _hold(self, number: int, cell: Cell, seed: int, care: Care | None) -> Result:
        place, folder = self._free.get(), self._folder / f"trial-{number}"
        try:
            result = hold(cell, seed, place, folder, care)
        finally:
            self._free.put(place)
        if not result.violations:
            rmtree(folder)
        return result


@contextmanager
def open_ground(folder: Path, places: int) -> Iterator[Ground]:
    """Start the broker and the lines, and end them. Raises as `Broker.start` does."""
    with Lines(places) as lines:
        broker = Broker(folder / "kafka", lines.ports)
        broker.start()
        try:
            lines.lead_to(broker.entrances)
            addresses = [f"127.0.0.1:{port}" for port in lines.ports]
            yield Ground(
                [
                    Place(broker.bootstrap, through, lines.control, number)
                    for number, through in enumerate(addresses)
                ],
                folder,
            )
        finally:
            broker.kill()
