"""A crash at every call: before or after any method of a store or a log, commits and publications too.

A crashed worker is abandoned, its connection closed without a commit, its log without a farewell; a new
one begins on the same file. ``CHOREO_FUZZ=1`` takes every call instead of every twelfth,
and adds more rounds of crashes at random.
"""

from __future__ import annotations

import os
import random
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest

from choreo.avro import AvroCodec
from choreo.client.connection import StoreConnection
from choreo.cloudevents import read
from choreo.ports import Publication
from choreo.testing.broker import MemoryBroker
from choreo.worker import Options, Worker
from examples.orders.contract import OrderCreated, order_fulfilment
from examples.orders.orders import orders
from tests.broker.any_broker import InMemoryBroker, unique
from tests.scenarios.shop import PARTICIPANTS, Scenario, Shop, compensated, scenarios, transitions
from tests.stores import open_store
from tests.worker.rig import ManualClock

FUZZ = os.environ.get("CHOREO_FUZZ") == "1"
SEEDS = 30 if FUZZ else 1
EVERY = 1 if FUZZ else 12


class Crash(KeyboardInterrupt):
    """The process is gone: a handler may catch it, and no worker takes it for the fault of one."""


class CrashPoint:
    """Counts the calls of all workers, and crashes where ``burns`` says so."""

    def __init__(self) -> None:
        self.calls = 0
        self.burnt: list[str] = []
        self._burns: Callable[[int, str], bool] = lambda number, name: False

    def set(self, burns: Callable[[int, str], bool]) -> None:
        """Count anew, and say at which calls to crash."""
        self.calls, self.burnt, self._burns = 0, [], burns

    def pass_through(self, name: str) -> None:
        """Note a call; raises `Crash` where it is the one."""
        self.calls += 1
        if self._burns(self.calls, name):
            self.burnt.append(name)
            raise Crash(name)


class Fragile:
    """A store or a log of which any call may be the last."""

    def __init__(self, target: Any, crash_point: CrashPoint) -> None:
        self._target = target
        self._fuse = crash_point

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._target, name)
        if name == "db" or not callable(found):
            return found

        def call(*given: Any) -> Any:
            self._fuse.pass_through(name)
            return found(*given)

        return call

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Crash before the transaction, before its commit, or after it."""
        yield from self._block("turn", self._target.turn())

    @contextmanager
    def savepoint(self) -> Iterator[None]:
        """Crash around a handler."""
        yield from self._block("savepoint", self._target.savepoint())

    def _block(self, name: str, block: AbstractContextManager[None]) -> Iterator[None]:
        self._fuse.pass_through(f"before {name}")
        with block:
            yield
            self._fuse.pass_through(f"end of {name}")
        self._fuse.pass_through(f"after {name}")

    def publish(self, publications: Iterable[Publication]) -> None:
        """Crash before, between and after publications: what is published is not yet acknowledged."""
        for each in publications:
            self._fuse.pass_through("before publish")
            self._target.publish([each])
            self._fuse.pass_through("after publish")


class FragileShop(Shop):
    """Order fulfilment whose workers crash and come back."""

    def __init__(self, folder: Path) -> None:
        self.crash_point = CrashPoint()
        self.clock = ManualClock()
        any_broker = InMemoryBroker()
        any_broker.broker = MemoryBroker(clock=self.clock)
        self.broker = any_broker.broker
        super().__init__(any_broker, folder, Options(idle_seconds=0.0))

    def open(self, *participants: Any) -> None:
        """Start workers; each may crash while it starts."""
        for participant in participants:
            while not self._opened(participant):
                pass
        self.until(lambda: all(worker.is_live for worker in self.workers.values()))

    def _opened(self, participant: Any) -> bool:
        name = participant.name
        store = open_store(self._folder / f"{name}.db")
        if store.serves_one:
            store.db.execute("PRAGMA synchronous = OFF")  # a crash of the process, not of the machine
        fragile: Any = Fragile(store, self.crash_point)
        log: Any = Fragile(self._broker.log(name), self.crash_point)
        codec = AvroCodec(participant.events)
        worker = Worker(participant, fragile, log, codec, self.clock, self._options)
        participant.connect(StoreConnection(participant, lambda: fragile, codec, self.clock))
        self.stores[name], self.workers[name] = store, worker
        try:
            worker.start()
        except Crash:
            self._abandon(name)
            return False
        return True

    def _abandon(self, name: str) -> None:
        self.workers[name]._log._target.close()  # type: ignore[attr-defined]
        self.stores[name].close()

    def until(self, condition: Callable[[], bool], seconds: float = 30.0) -> None:
        """Let every worker go round until a condition holds; time passes when all are at rest."""
        for _ in range(10_000):
            if condition():
                return
            if not sum([self._turn(name) for name in list(self.workers)]):
                self._let_time_pass()
        raise AssertionError(f"it never ends: {self.states()}")

    def _turn(self, name: str) -> int:
        try:
            return self.workers[name].turn()
        except Crash:
            self._abandon(name)
            participant = next(each for each in PARTICIPANTS if each.name == name)
            while not self._opened(participant):
                pass
            return 1

    def _let_time_pass(self) -> None:
        due = [at for store in self.stores.values() if (at := store.next_due()) is not None]
        self.clock.time = max([self.clock.time, *due[:1], *([min(due)] if due else [])])

    def place(self, order: OrderCreated) -> str:
        """Place an order as a customer would: once more when there was no answer."""
        try:
            return super().place(order)
        except Crash:
            self._abandon("orders")
            while not self._opened(orders):
                pass
        return order.order_id if self.history("orders", order.order_id) else self.place(order)

    def run(self, scenario: Scenario) -> None:
        """Carry a saga through, and check what must be true of it afterwards."""
        saga_id = self.place(scenario.order)
        self.until_quiet([saga_id])
        self.check(scenario, saga_id)

    def check(self, scenario: Scenario, saga_id: str) -> None:
        """Check one saga's end: the same for all, in strict reverse order, and every step once."""
        assert self.ends(saga_id) == {"failed" if scenario.fails_at else "completed"}
        for name, store in self.stores.items():
            history = self.history(name, saga_id)
            assert tuple(compensated(history)) == scenario.undone
            for step in {entry.step for entry in history}:
                moves = Counter(transitions(history, step))
                assert not moves or max(moves.values()) == 1, (name, step, moves)
            assert not store.dead_letters()


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FragileShop]:
    """Open a shop that has not crashed yet."""
    monkeypatch.setattr(order_fulfilment, "topic", unique("crashes"))
    opened = FragileShop(tmp_path)
    yield opened
    opened.close()


@pytest.mark.parametrize("index", range(5), ids=[each.name for each in scenarios()])
def test_a_crash_at_any_call_changes_nothing_in_the_end(shop: FragileShop, index: int) -> None:
    """The saga ends as it would have, books balance, no effect comes twice, nothing waits."""
    shop.crash_point.set(lambda number, name: False)
    shop.run(scenarios("calm")[index])
    calls, crashes = shop.crash_point.calls, 0
    points = range(1 + index % EVERY, calls + 1, EVERY)
    for number, point in enumerate(points, 1):
        scenario = scenarios(f"o{point}")[index]
        shop.crash_point.set(lambda number, name, at=point: number == at)  # type: ignore[misc]
        shop.run(scenario)
        crashes += len(shop.crash_point.burnt)
        shop.assert_balance(fulfilled=0 if scenario.fails_at else number + 1)
    assert calls > 100
    assert crashes > 0.9 * len(points)


@pytest.mark.parametrize("name", ["after publish", "after turn"])
def test_a_crash_between_commit_publication_and_acknowledgement(shop: FragileShop, name: str) -> None:
    """Each time that there is one. Committed, not published: it is published later. Published, not
    acknowledged: it is published twice, and the second one changes nothing."""
    fulfilled = 0
    for index in range(5):
        for nth in (1, 2, 3, 5, 8):
            met = iter(range(10_000))
            shop.crash_point.set(lambda _, called, met=met, nth=nth: called == name and next(met) == nth)  # type: ignore[misc]
            scenario = scenarios(f"o{nth}")[index]
            shop.run(scenario)
            fulfilled += not scenario.fails_at
    shop.assert_balance(fulfilled)
    ids = Counter(read(record).id for record in shop.broker.records(order_fulfilment.topic))
    if name == "after publish":
        assert max(ids.values()) == 2
        assert sum(count > 1 for count in ids.values()) >= 15


@pytest.mark.parametrize("seed", range(SEEDS))
def test_crashes_all_the_time(shop: FragileShop, seed: int) -> None:
    """One call in two hundred is a worker's last one, also of those with which it comes back."""
    chance = random.Random(seed)
    shop.crash_point.set(lambda number, name: chance.random() < 0.005)
    placed = [(each, shop.place(each.order)) for i in range(5) for each in scenarios(f"o{i}")]
    shop.until_quiet([saga_id for _, saga_id in placed])
    assert len(shop.crash_point.burnt) > 5
    for scenario, saga_id in placed:
        shop.check(scenario, saga_id)
    shop.assert_balance(fulfilled=sum(not scenario.fails_at for scenario, _ in placed))
