"""Shops in which things have gone wrong, their stores left as their workers left them."""

from __future__ import annotations

from pathlib import Path

from choreo.avro import write_schemas
from choreo.testing import Harness
from examples.orders import contract, inventory, notifications, orders, payments, shipping
from examples.orders.contract import OrderCreated
from examples.orders.orders import place_order

SHOP = (
    orders.orders,
    inventory.inventory,
    payments.payments,
    shipping.shipping,
    notifications.notifications,
)
EVENTS = [
    each
    for each in vars(contract).values()
    if isinstance(each, type) and each.__module__ == contract.__name__
]


HOURS = 3 * 3_600_000


def order(number: int, **changed: object) -> OrderCreated:
    """Return an order."""
    given = {"customer": "ada", "sku": "apple", "quantity": 1, "total": 4200, "address": "12 Elm Street"}
    return OrderCreated(f"o-{number}", **{**given, **changed})  # type: ignore[arg-type]


def shop(folder: Path, ended_at: int) -> None:
    """Run a shop whose refunds fail, until ``ended_at``, when it stands still with orders in flight."""
    write_schemas(EVENTS, folder / "schemas")
    with Harness(SHOP, folder=folder) as harness:
        harness.clock.advance_to(ended_at - HOURS)
        for number in range(1, 9):
            place_order(order(number))
        place_order(order(9, customer="bob"))
        place_order(order(10, sku="pear", quantity=50))
        harness.run()
        for number in (11, 12, 13):
            place_order(order(number, address="nowhere"))
        harness.run(until=lambda: all(_has_paid(harness, f"o-{number}") for number in (11, 12, 13)))
        harness.database("payments").execute("alter table charges rename to gone")
        harness.run()
        harness.database("payments").execute("alter table gone rename to charges")
        harness.clock.advance_to(ended_at - 60_000)
        for number in (16, 17):
            place_order(order(number))
        harness.run(until=lambda: _has_paid(harness, "o-17"))


def _has_paid(harness: Harness, order_id: str) -> bool:
    return "payments.process_payment" in [event.step for event in harness.events(order_id)]
