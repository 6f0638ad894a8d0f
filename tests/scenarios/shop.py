"""Order fulfilment, whole, in one process: five workers, five databases, one broker of any kind."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from choreo.avro import AvroCodec
from choreo.client.connection import StoreConnection
from choreo.graph import derive
from choreo.ports import Store
from choreo.records import Entry
from choreo.worker import Options, Worker
from choreo.worker.clock import SystemClock
from examples.orders.contract import OrderCreated, order_fulfilment
from examples.orders.inventory import inventory
from examples.orders.notifications import notifications
from examples.orders.orders import orders, place_order
from examples.orders.payments import payments
from examples.orders.shipping import shipping
from tests.broker.any_broker import AnyBroker
from tests.stores import open_store

PARTICIPANTS = (orders, inventory, payments, shipping, notifications)
derive(PARTICIPANTS)

STOCK = 1_000_000
MONEY = 100_000_000 + 100


class Scenario(NamedTuple):
    """An order, the step at which it fails, and what must have been undone then, in this order."""

    name: str
    order: OrderCreated
    fails_at: str = ""
    undone: tuple[str, ...] = ()


def scenarios(prefix: str = "o") -> list[Scenario]:
    """Return an order that succeeds, one that fails at each step that can, and one that is only slow."""

    def order(name: str, customer: str = "ada", sku: str = "apple", quantity: int = 2, to: str = "home"):  # type: ignore[no-untyped-def]
        return OrderCreated(f"{prefix}-{name}", customer, sku, quantity, 250, to)

    reserve, pay, ship = (
        "inventory.reserve_inventory",
        "payments.process_payment",
        "shipping.create_shipment",
    )
    return [
        Scenario("none", order("none")),
        Scenario("reserve_inventory", order("reserve", sku="pear", quantity=50), reserve, ("start",)),
        Scenario("process_payment", order("pay", customer="bob"), pay, (reserve, "start")),
        Scenario("create_shipment", order("ship", to="nowhere"), ship, (pay, reserve, "start")),
        Scenario("send_confirmation, for a while", order("confirm-slow")),
    ]


class Books:
    """What the five databases say, whoever runs the workers."""

    def __init__(self) -> None:
        derive(PARTICIPANTS)  # a test of some of them alone has derived other triggers
        self.stores: dict[str, Store] = {}

    def ends(self, saga_id: str) -> set[str]:
        """Return the ends that participants know of a saga, or nothing while one of them knows none."""
        states = {
            self.history(name, saga_id)[-1].saga_state if self.history(name, saga_id) else ""
            for name in self.stores
        }
        return states if states <= {"completed", "failed"} else set()

    def history(self, participant: str, saga_id: str) -> Sequence[Entry]:
        """Return a participant's view of a saga."""
        return self.stores[participant].history(saga_id)

    def states(self) -> dict[str, Any]:
        """Return what every store holds, for a failure's message."""
        return {
            name: list(
                store.db.query(
                    "select saga_id, saga_state, step, new_state from saga_log order by id desc limit 5"
                )
            )
            for name, store in self.stores.items()
        }

    def value(self, participant: str, sql: str) -> Any:
        """Ask a participant's database for one value."""
        return self.stores[participant].db.execute(sql).fetchone()[0]

    def balance(self) -> dict[str, int]:
        """Return what must never change, and what must agree with each other."""
        return {
            "stock": self.value("inventory", "select available from stock where sku = 'apple'")
            + self.value("inventory", "select coalesce(sum(quantity), 0) from reservations"),
            "money": self.value("payments", "select sum(balance) from accounts"),
            "reservations": self.value("inventory", "select count(*) from reservations"),
            "charges": self.value("payments", "select count(*) from charges"),
            "shipments": self.value("shipping", "select count(*) from shipments"),
            "fulfilled": self.value("orders", "select count(*) from orders where status = 'fulfilled'"),
            "confirmed": self.value(
                "notifications", "select count(*) from mails where subject = 'confirmed'"
            ),
        }

    def assert_balance(self, fulfilled: int) -> None:
        """Check that stock and money are conserved, and that only fulfilled orders have effects."""
        balance = self.balance()
        assert balance.pop("stock") == STOCK
        assert balance.pop("money") == MONEY
        assert set(balance.values()) == {fulfilled}, balance

    def close(self) -> None:
        """Close the databases."""
        for store in self.stores.values():
            store.close()


class Shop(Books):
    """The five workers on one broker, driven by the test's own thread."""

    def __init__(self, any_broker: AnyBroker, folder: Path, options: Options | None = None) -> None:
        super().__init__()
        self._broker = any_broker
        self._folder = folder
        self._options = options or Options(idle_seconds=0.0 if any_broker.name == "memory" else 0.005)
        self.workers: dict[str, Worker] = {}
        any_broker.create_topic(order_fulfilment.topic)
        self.group = order_fulfilment.topic
        self.open(*PARTICIPANTS)

    def open(self, *participants: Any) -> None:
        """Start workers, each on its own database file."""
        for participant in participants:
            name = participant.name
            store = open_store(self._folder / f"{name}.db")
            log = self._broker.log(f"{self.group}-{name}", f"{self.group}-{name}-{store.store_id}")
            codec = AvroCodec(participant.events)
            worker = Worker(participant, store, log, codec, SystemClock(), self._options)
            worker.start()
            self.stores[name], self.workers[name] = store, worker
            opened = _opener(store)
            participant.connect(StoreConnection(participant, opened, codec, SystemClock()))
        self.until(lambda: all(worker.is_live for worker in self.workers.values()))

    def place(self, order: OrderCreated) -> str:
        """Place an order; give the saga's id."""
        return place_order(order)

    def until(self, condition: Callable[[], bool], seconds: float = 30.0) -> None:
        """Let every worker go round until a condition holds."""
        deadline = time.monotonic() + seconds
        while not condition():
            for worker in self.workers.values():
                worker.turn()
            if time.monotonic() > deadline:
                raise AssertionError(f"not within {seconds} s: {self.states()}")

    def until_quiet(self, saga_ids: Sequence[str], seconds: float = 30.0) -> None:
        """Let the workers go round until all know how each saga ended, and nothing waits."""
        self.until(lambda: all(self.ends(s) for s in saga_ids) and self.is_quiet(), seconds)

    def is_quiet(self) -> bool:
        """Whether nothing is left to publish or to do."""
        return all(
            not store.unpublished(0, 1) and not store.db.execute("select 1 from schedule limit 1").fetchall()
            for store in self.stores.values()
        )


def _opener(store: Store) -> Callable[[], Store]:
    return lambda: store


def compensated(entries: Sequence[Entry]) -> list[str]:
    """Return the steps whose compensation the log confirms, in the log's order."""
    return [entry.step for entry in entries if entry.input == "event" and entry.outcome == "compensated"]


def transitions(entries: Sequence[Entry], step: str) -> list[tuple[str, str]]:
    """Return the transitions of one step, in order."""
    return [
        (entry.old_state, entry.new_state)
        for entry in entries
        if entry.step == step and entry.old_state != entry.new_state
    ]
