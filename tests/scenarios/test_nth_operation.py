"""One operation fails: each statement of each database, each call of each log, one saga for each of them.

A worker ends with the error, and a new one begins on the same file; or a handler was hit, and is called
again. In the end nothing of it is to be seen. The market has five steps, one of them a call outside of the
transaction, and a deadline. `make fuzz` fails every operation, each in one of the ways.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from choreo.avro import AvroCodec
from choreo.client.connection import StoreConnection
from choreo.errors import LogError, StoreError
from choreo.participant import Participant
from choreo.store.sqlite import database as opening
from choreo.store.sqlite.store import SQLiteStore
from choreo.testing.broker import MemoryBroker
from choreo.worker import Options, Worker
from tests.programs.soak.ledger import Ledger
from tests.programs.soak.market.contract import OrderPlaced
from tests.programs.soak.market.mailer import mailer
from tests.programs.soak.market.orders import orders, place
from tests.programs.soak.market.payments import payments
from tests.programs.soak.market.shipping import shipping
from tests.programs.soak.market.stock import stock
from tests.programs.soak.web import Journal
from tests.scenarios.failing_calls import KINDS, BreakableConnection, BreakableLog, Breaker, Call, thinned
from tests.worker.rig import ManualClock

PARTICIPANTS = (orders, stock, payments, shipping, mailer)
EVERY = 4 if os.environ.get("CHOREO_FUZZ") == "1" else 48
SECONDS = 60.0


class Market:
    """The five workers, driven by the test's thread, on databases and logs that can break."""

    def __init__(self, folder: Path) -> None:
        self.breaker = Breaker()
        self.clock = ManualClock()
        self.broker = MemoryBroker(partitions=1, clock=self.clock)
        self.stores: dict[str, SQLiteStore] = {}
        self._workers: dict[str, Worker] = {}
        self._folder = folder
        self.placed: dict[str, str] = {}
        journal = Journal(self.placed, {}, set(), 0, 0)
        self.ledger = Ledger(self.stores, folder / "world", lambda: journal, ())
        for each in PARTICIPANTS:
            self._open(each)

    def run(self, plan: str) -> None:
        """Carry one order through."""
        order = OrderPlaced(f"o-{len(self.placed)}", plan)
        self.placed[order.order_id] = plan
        self._guarded(orders, lambda: place(order))
        while not self.stores["orders"].history(order.order_id):
            self._guarded(orders, lambda: place(order))
        self._until(self._is_quiet)

    def end(self) -> str:
        """Return how the last order has ended."""
        return self.stores["orders"].history(list(self.placed)[-1])[-1].saga_state

    def violations(self) -> list[str]:
        """Return everything that is not as it must be."""
        return self.ledger.verdict(self.broker.records("market")).violations

    def close(self) -> None:
        """End."""
        self.breaker.set(None)
        for each in PARTICIPANTS:
            self._leave(each)

    def _is_quiet(self) -> bool:
        return self.ledger.is_quiet({0: len(self.broker.records("market"))})

    def _until(self, holds: Callable[[], bool]) -> None:
        deadline = time.monotonic() + SECONDS
        while not holds():
            if not sum([self._turn(each) for each in PARTICIPANTS]):
                self._let_time_pass()
            assert time.monotonic() < deadline, (self.breaker.broken, self.breaker.kind)

    def _turn(self, participant: Participant) -> int:
        done = [1]
        self._guarded(participant, lambda: done.append(self._workers[participant.name].turn()))
        return done[-1]

    def _let_time_pass(self) -> None:
        """Let the next thing become due, unless a call is out: that is what is waited for."""
        if any(worker._calls.out for worker in self._workers.values()):
            return
        due = [at for store in self.stores.values() if (at := store.next_due()) is not None]
        self.clock.time = max([self.clock.time, *([min(due)] if due else [])])

    def _guarded(self, participant: Participant, work: Callable[[], object]) -> None:
        """Do some of a participant's work; where an operation fails, its worker is started anew."""
        self.breaker.participant = participant.name
        try:
            work()
        except (StoreError, LogError):
            self._leave(participant)
            self._open(participant)
        finally:
            self.breaker.participant = ""

    def _open(self, participant: Participant) -> None:
        while True:
            self.breaker.participant = participant.name
            try:
                self._start(participant)
                return
            except (StoreError, LogError):
                self._leave(participant)
            finally:
                self.breaker.participant = ""

    def _start(self, participant: Participant) -> None:
        name = participant.name
        store = self.stores[name] = SQLiteStore(self._folder / f"{name}.db")
        store.db.execute("PRAGMA synchronous = OFF")  # the process fails, not the machine
        connection = store.db.conn
        assert isinstance(connection, BreakableConnection)
        connection.breaker = self.breaker
        log = BreakableLog(self.broker.log(name), self.breaker)
        codec = AvroCodec(participant.events)
        options = Options(idle_seconds=0.0)
        worker = Worker(participant, store, log, codec, self.clock, options)  # type: ignore[arg-type]
        self._workers[name] = worker
        participant.connect(StoreConnection(participant, lambda: store, codec, self.clock))
        worker.start()

    def _leave(self, participant: Participant) -> None:
        """Leave as a worker does that ends with an error."""
        worker = self._workers[participant.name]
        worker._calls.stop(5)
        worker._log.close()
        self.stores[participant.name].close()


@pytest.fixture
def market(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Market]:
    """Open a market on connections that can break."""
    monkeypatch.setattr(opening, "GuardedConnection", BreakableConnection)
    monkeypatch.setenv("CHOREO_SOAK_WORLD", str(tmp_path / "world"))
    opened = Market(tmp_path)
    yield opened
    opened.close()


def calls_of(market: Market, plan: str) -> list[Call]:
    """Return every operation of a saga of that plan."""
    market.breaker.set(None)
    market.run(plan)
    return list(market.breaker.made)


@pytest.mark.parametrize("plan", ["fine", "no way", "late"])
def test_an_operation_that_fails_changes_nothing_in_the_end(market: Market, plan: str) -> None:
    """Success, rollback, and a deadline: each operation in turn, each way in which it can fail."""
    calls = calls_of(market, plan)
    assert len(calls) > 200
    broken = 0
    for number, kind in enumerate(KINDS):
        for call in thinned(calls, EVERY, number % EVERY):
            market.breaker.set(call, kind)
            market.run(plan)
            broken += len(market.breaker.broken)
            # The shipment's second attempt comes after an hour: where the first was hit, it may be late.
            may_be_late = (call.participant, call.what[:6]) == ("shipping", "insert")
            ends = {"failed"} if plan != "fine" else {"completed"} | ({"failed"} if may_be_late else set())
            assert market.end() in ends, (call, kind)
    assert market.violations() == []
    assert broken > 0.5 * len(KINDS) * len(calls) / EVERY
