"""Shops in which things have gone wrong, their stores left as their workers left them."""

from __future__ import annotations

import asyncio
from pathlib import Path
from types import ModuleType
from unittest.mock import patch
from urllib.parse import unquote

from choreo.avro import write_schemas
from choreo.testing import Harness
from examples.bank import contract as bank_contract
from examples.bank import destination, ledger, source
from examples.bank.contract import TransferRequested
from examples.orders import contract, inventory, notifications, orders, payments, shipping
from examples.orders.contract import OrderCreated
from examples.orders.orders import place_order
from examples.travel import agency, car, flight, hotel
from examples.travel import contract as travel_contract
from examples.travel.airline import Books
from examples.travel.contract import TripRequested

SHOP = (
    orders.orders,
    inventory.inventory,
    payments.payments,
    shipping.shipping,
    notifications.notifications,
)
TRAVEL = (agency.agency, hotel.hotel, flight.flight, car.car)
BANK = (source.source, ledger.ledger, destination.destination)


PAYMENT = "payments.process_payment"
HOURS = 3 * 3_600_000


def events_of(module: ModuleType) -> list[type]:
    """Return the events that a contract declares."""
    found = (each for each in vars(module).values() if isinstance(each, type))
    return [each for each in found if each.__module__ == module.__name__]


def order(number: int, **changed: object) -> OrderCreated:
    """Return an order."""
    given = {"customer": "ada", "sku": "apple", "quantity": 1, "total": 4200, "address": "12 Elm Street"}
    return OrderCreated(f"o-{number}", **{**given, **changed})  # type: ignore[arg-type]


def shop(folder: Path, ended_at: int) -> None:
    """Run a shop whose refunds fail, until ``ended_at``, when it stands still with orders in flight."""
    write_schemas(events_of(contract), folder / "schemas")
    with Harness(SHOP, folder=folder) as harness:
        harness.clock.advance_to(ended_at - HOURS)
        for number in range(1, 4):
            place_order(order(number))
        place_order(order(9, customer="bob"))
        place_order(order(10, sku="pear", quantity=50))
        harness.run()
        for number in (11, 12, 13):
            place_order(order(number, address="nowhere"))
        harness.run(
            until=lambda: all(_has_happened(harness, PAYMENT, f"o-{number}") for number in (11, 12, 13))
        )
        harness.database("payments").execute("alter table charges rename to gone")
        harness.run()
        harness.database("payments").execute("alter table gone rename to charges")
        harness.clock.advance_to(ended_at - 60_000)
        for number in (16, 17):
            place_order(order(number))
        harness.run(until=lambda: _has_happened(harness, PAYMENT, "o-17"))


def _has_happened(harness: Harness, step: str, saga_id: str) -> bool:
    return step in [event.step for event in harness.events(saga_id)]


def trips(folder: Path, ended_at: int) -> None:
    """Book trips, with a car rental and an airline that break down."""
    write_schemas(events_of(travel_contract), folder / "schemas")
    books, is_down = Books(), False

    async def ask(method: str, path: str) -> int:
        await asyncio.sleep(0.05)
        if is_down:
            raise ConnectionError("the airline does not answer")
        name, *which = map(unquote, path.split("/")[2:])
        return books.book(name, which[0]) if method == "PUT" else books.cancel(name)

    with patch.object(flight, "ask", ask), Harness(TRAVEL, folder=folder) as harness:
        harness.clock.advance_to(ended_at - HOURS)
        for number in range(1, 5):
            agency.request_trip(TripRequested(f"trip-{number}", "ada", "Grand", "CH 1", "compact"))
        agency.request_trip(TripRequested("trip-5", "bob", "Grand", "CH 1", "compact"))
        agency.request_trip(TripRequested("trip-6", "ada", "Seaview", "CH 1", "compact"))
        harness.run()
        harness.database("car").execute("alter table rentals rename to gone")
        for number in (7, 8):
            agency.request_trip(TripRequested(f"trip-{number}", "ada", "Grand", "CH 1", "compact"))
        harness.run()
        harness.clock.advance_to(ended_at - 1_000)
        is_down = True
        agency.request_trip(TripRequested("trip-9", "ada", "Grand", "CH 1", "compact"))
        harness.run(before=ended_at)


def transfers(folder: Path, ended_at: int) -> None:
    """Transfer money to accounts that are there and that are not, and lose a table of the ledger."""
    write_schemas(events_of(bank_contract), folder / "schemas")
    with Harness(BANK, folder=folder) as harness:
        harness.clock.advance_to(ended_at - HOURS)
        for number in range(1, 6):
            source.request_transfer(TransferRequested(f"t-{number}", "alice", "carol", 100 * number))
        source.request_transfer(TransferRequested("t-6", "zoe", "carol", 10_000))
        source.request_transfer(TransferRequested("t-7", "alice", "nobody", 100))
        harness.run()
        source.request_transfer(TransferRequested("t-8", "alice", "nobody", 100))
        harness.run(until=lambda: _has_happened(harness, "ledger.create_transfer_record", "t-8"))
        harness.database("ledger").execute("alter table transfers rename to gone")
        harness.run(before=ended_at)
