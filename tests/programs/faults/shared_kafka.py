"""One broker for trials that are held side by side, with a proxy for each of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from pathlib import Path
from queue import SimpleQueue
from shutil import rmtree

from tests.broker.any_broker import unique
from tests.broker.kafka import Broker
from tests.broker.proxy import Proxies
from tests.programs.faults.cells import Cell
from tests.programs.faults.trial import Care, Place, Result, hold

Trial = tuple[Cell, int]
"""A cell and a seed."""


class SharedKafka:
    """Holds trials, as many at the same time as there are places, with so many processes a participant."""

    def __init__(self, places: Sequence[Place], folder: Path, replicas: int) -> None:
        self._replicas = replicas
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
        """Return each trial's result as it comes; whoever stops asking ends those that have not begun."""
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
            result = hold(cell, seed, place, folder, care, replicas=self._replicas)
        finally:
            self._free.put(place)
        if not result.violations:
            rmtree(folder)
        return result


@contextmanager
def open_shared_kafka(folder: Path, places: int, replicas: int = 1) -> Iterator[SharedKafka]:
    """Start the broker and the proxies, and end them. Raises as `Broker.start` does."""
    with Proxies(places) as proxies:
        broker = Broker(folder / "kafka", proxies.ports)
        broker.start()
        try:
            proxies.lead_to(broker.entrances)
            addresses = [f"127.0.0.1:{port}" for port in proxies.ports]
            yield SharedKafka(
                [
                    Place(broker.bootstrap, through, proxies.control, number)
                    for number, through in enumerate(addresses)
                ],
                folder,
                replicas,
            )
        finally:
            broker.kill()
