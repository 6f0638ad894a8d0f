"""``make simulate``: the examples, run in memory from one seed after the other, with all that can go wrong.

A seed chooses the example, what its sagas ask for, the interleaving, and up to nine mishaps: crashes,
repeated records, failures, leaps of time, and one of the faults of the matrix.
"""

from __future__ import annotations

import logging
import os
import random
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from functools import cache
from typing import Any, NamedTuple

from choreo.participant import Participant
from choreo.testing import Budget, Harness, Violation, check
from choreo.testing.cells import Cell, cells_of, is_watched, watcher
from choreo.testing.schedule import Seeded
from examples.bank.contract import TransferRequested
from examples.bank.source import request_transfer
from examples.orders.contract import OrderCreated
from examples.orders.orders import place_order
from examples.scenarios import Check, bank, orders, travel
from examples.travel.agency import cancel_trip, request_trip
from examples.travel.airline import Books
from examples.travel.contract import TripRequested
from tests.testing.airline import airline_in_memory

World = AbstractContextManager[Any]


class Example(NamedTuple):
    """One example: how a saga of it starts, by chance, and what must balance at the end."""

    participants: Sequence[Participant]
    begin: Callable[[random.Random, str], object]
    balance: Callable[[Mapping[str, Any], Any], Iterable[Check]]
    world: Callable[[], World] = nullcontext


class Played(NamedTuple):
    """What came of one seed; ``complaint`` is empty where all is well."""

    seed: int
    ends: list[str]
    moves: int
    complaint: str = ""


def an_order(chance: random.Random, name: str) -> object:
    customer = chance.choice(("ada", "ada", "ada", "bob"))
    sku = chance.choice(("apple", "apple", "apple", "pear"))
    address = chance.choice(("home", "home", "home", "nowhere"))
    slow = chance.choice(("", "", "-slow"))
    return place_order(OrderCreated(name + slow, customer, sku, chance.randint(1, 4), 250, address))


def a_transfer(chance: random.Random, name: str) -> object:
    sender = chance.choice(("alice", "alice", "zoe"))
    receiver = chance.choice(("carol", "carol", "mallory", "nobody"))
    return request_transfer(TransferRequested(name, sender, receiver, chance.randint(50, 1_100_000)))


def a_trip(chance: random.Random, name: str) -> object:
    hotel = chance.choice(("Grand", "Grand", "Grand", "Seaview"))
    seat = chance.choice(("CH 1", "CH 1", "CH 2 full", "CH 3 late", "CH 4 slow"))
    car = chance.choice(("compact", "compact", "cabriolet"))
    started = request_trip(TripRequested(name, chance.choice(("ada", "ada", "bob")), hotel, seat, car))
    if chance.random() < 0.2:
        cancel_trip(name)
    return started


def books_of_travel(databases: Mapping[str, Any], airline: Books) -> Iterable[Check]:
    return travel.balance(databases, lambda: airline.bookings)


EXAMPLES = {
    "orders": Example(orders.scenario.participants, an_order, lambda databases, _: orders.balance(databases)),
    "bank": Example(bank.scenario.participants, a_transfer, lambda databases, _: bank.balance(databases)),
    "travel": Example(travel.scenario.participants, a_trip, books_of_travel, airline_in_memory),
}


@cache
def cells(name: str) -> list[Cell]:
    """Return the matrix of an example."""
    return cells_of(EXAMPLES[name].participants)


def play(seed: int) -> Played:
    """Run one seed, and check everything."""
    chance = random.Random(seed)
    name = chance.choice(sorted(EXAMPLES))
    example, cell = EXAMPLES[name], chance.choice(cells(name)) if chance.random() < 0.5 else cells(name)[0]
    budget = Budget(*(chance.randint(0, 2) for _ in Budget._fields))
    handlers = [handler for each in example.participants for handler in each.handlers]
    watchers = [watcher(each) for each in cell.watched if not is_watched(each, handlers)]
    options = {"chooser": Seeded(seed), "budget": budget, "partitions": chance.randint(1, 3)}
    everybody = [*example.participants, *watchers]
    with example.world() as world, Harness(everybody, faults=cell.faults(), **options) as harness:  # type: ignore[arg-type]
        for number in range(chance.randint(1, 4)):
            example.begin(chance, f"saga-{number}")
        try:
            harness.run()
            check(harness)
            for found in example.balance(harness.databases, world):
                if not found.holds:
                    raise Violation(f"{found.what}: {found.found}")
        except Exception as error:
            return Played(seed, [], 0, f"{name}, {cell.name}: {error}")
        ends = harness.ends()
        return Played(seed, ends, len(harness.moves))


def play_all(seeds: Sequence[int], processes: int) -> Iterator[Played]:
    """Run seeds in so many processes, in order."""
    with ProcessPoolExecutor(processes, initializer=logging.disable, initargs=(logging.CRITICAL,)) as pool:
        yield from pool.map(play, seeds, chunksize=20)


def main(count: int, first: int = 0) -> int:
    """Run seeds, tell what came of them, and give the exit code."""
    begun, ends, moves, violations = time.monotonic(), Counter[str](), 0, 0
    for done, played in enumerate(play_all(range(first, first + count), os.cpu_count() or 1), 1):
        ends.update(played.ends)
        moves += played.moves
        if played.complaint:
            violations += 1
            print(f"\nseed {played.seed}: {played.complaint}", flush=True)
        if sys.stderr.isatty() and done % 20 == 0:
            print(f"\r{done} of {count} seeds", end="", file=sys.stderr, flush=True)
    seconds = time.monotonic() - begun
    told = ", ".join(f"{number:,} {end}" for end, number in sorted(ends.items()))
    print(
        f"\r{count:,} seeds, {sum(ends.values()):,} sagas ({told}), {moves:,} moves, {violations} violations"
    )
    print(f"{sum(ends.values()) / seconds:,.0f} sagas/s, {moves / seconds:,.0f} moves/s, {seconds:.0f} s")
    return int(violations > 0)


if __name__ == "__main__":
    sys.exit(main(*(int(argument) for argument in sys.argv[1:])))
