"""Whole sagas: each participant a process, from the first saga started to the last one completed."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import choreo
from choreo import Participant, Saga
from choreo.store.sqlite.store import SQLiteStore
from examples.orders.contract import OrderCreated, order_fulfilment
from examples.orders.orders import orders, place_order
from examples.travel.agency import agency, request_trip
from examples.travel.airline import Airline, serving
from examples.travel.contract import TripRequested, trip
from tests.programs.bench.processes import ROOT, process, processor_seconds, run_arguments
from tests.programs.bench.site import Site


class Example(NamedTuple):
    """An example: its saga, who takes part, how one that succeeds is started, and where its end is written.

    ``bench`` is the name of its figures; ``completed`` and ``failed`` are the words for it in the column
    ``status`` of ``table``; ``in_flight`` bounds the sagas that run at the same time.
    """

    bench: str
    saga: Saga
    package: str
    starter: Participant
    others: tuple[str, ...]
    start: Callable[[str], str]
    table: str
    completed: str
    failed: str
    in_flight: int


ORDERS = Example(
    "sagas",
    order_fulfilment,
    "examples.orders",
    orders,
    ("inventory", "payments", "shipping", "notifications"),
    lambda name: place_order(OrderCreated(name, "ada", "apple", 1, 100, "home")),
    "orders",
    "fulfilled",
    "failed",
    1_000_000,
)
TRAVEL = Example(
    "travel",
    trip,
    "examples.travel",
    agency,
    ("hotel", "flight", "car"),
    lambda name: request_trip(TripRequested(name, "ada", "Grand", "CH 1", "compact")),
    "trips",
    "booked",
    "failed",
    20,  # a trip that waits longer than its deadlines fails
)


class PromptAirline(Airline):
    """An airline that answers at once."""

    def wait(self, name: str, flight: str) -> None:
        """Take no time."""


class Watched(NamedTuple):
    """How processes are watched: further variables of their environment, and options of ``choreo run``."""

    settings: Mapping[str, str] = {}
    options: Callable[[str], Sequence[str]] = lambda name: ()


_UNWATCHED = Watched()


class Ended(NamedTuple):
    """How long it took until all sagas had ended, the processor time of all participants, and who failed."""

    seconds: float
    processor_seconds: float
    failed: int


def measure(where: Site, example: Example, count: int) -> dict[str, Any]:
    """Return the sagas that ended a second, and how many of them failed: by a deadline, on a busy machine."""
    ended = run(where, example, count)
    return {
        "bench": example.bench,
        "broker": where.broker,
        "sagas_per_s": round(count / ended.seconds, 1),
        "participants": 1 + len(example.others),
        "sagas": count,
        "failed": ended.failed,
    }


def run(where: Site, example: Example, count: int, watched: Watched = _UNWATCHED, warm_up: int = 1) -> Ended:
    """Run so many sagas, each participant in a process of its own, after ``warm_up`` others."""
    names = (example.starter.name, *example.others)
    where.create(example.saga.topic)
    starter = where.folder / f"{example.starter.name}.db"
    choreo.connect(example.starter, starter, lock=ROOT / "examples/choreography.json")
    with ExitStack() as running:
        running.enter_context(serving(PromptAirline()))
        pids = []
        for name in names:
            target = f"{example.package}.{name}:{name}"
            command = [*run_arguments(where, target, where.folder / f"{name}.db"), *watched.options(name)]
            pids.append(running.enter_context(process(*command, settings=watched.settings)).pid)
        counted = running.enter_context(_counting(example, starter))
        _run(example, counted, [f"warm-up-{number}" for number in range(warm_up)], 0)
        before, begun = sum(map(processor_seconds, pids)), time.perf_counter()
        _run(example, counted, [f"saga-{number}" for number in range(count)], warm_up)
        seconds = time.perf_counter() - begun
        return Ended(seconds, sum(map(processor_seconds, pids)) - before, counted(example.failed))


def _run(example: Example, counted: Callable[..., int], names: list[str], before: int) -> None:
    """Start sagas, and wait until all have ended; ``before`` is the number of those that had."""

    def ended() -> int:
        return counted(example.completed, example.failed)

    for started, name in enumerate(names, before):
        if started >= example.in_flight:
            _wait(lambda started=started: ended() > started - example.in_flight)  # type: ignore[misc]
        example.start(name)
    _wait(lambda: ended() == before + len(names))


@contextmanager
def _counting(example: Example, path: Path) -> Iterator[Callable[..., int]]:
    store = SQLiteStore(path)
    try:
        yield lambda *status: sum(
            store.db.table(example.table).count_where("status = ?", [s]) for s in status
        )
    finally:
        store.close()


def _wait(reached: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 300
    while not reached():
        if time.monotonic() > deadline:
            raise TimeoutError("the sagas did not end within 300 s")
        time.sleep(0.02)
