"""Order fulfilment in four releases, each of which changes what orders in flight are still to go through.

1  as the example declares it
2  `payments` renames its step, `orders` observes more of each order
3  `notifications` has a step more: a receipt, once the customer has paid
4  version 2 of the saga: the goods are picked before they are shipped; version 1 is brought to its end

The module has the participants of the release that the environment variable RELEASE names.
"""

import os
from datetime import timedelta
from typing import NamedTuple

from sqlite_utils import Database

from choreo import Context, Participant, Permanent, Retry, Saga, event
from examples.orders.contract import (
    InventoryReserved,
    InventoryUnavailable,
    OrderCreated,
    OrderFailed,
    OrderFulfilled,
    PaymentFailed,
    PaymentProcessed,
    ShipmentCancelled,
    ShipmentCreated,
    ShipmentFailed,
)
from examples.orders.inventory import prepare as with_stock
from examples.orders.inventory import release_reservation, reserve_inventory
from examples.orders.notifications import prepare as with_mails
from examples.orders.notifications import send_cancellation_notice, send_confirmation
from examples.orders.orders import close_order, fail_order
from examples.orders.orders import prepare as with_orders
from examples.orders.payments import prepare as with_accounts
from examples.orders.payments import process_payment, refund_payment
from examples.orders.shipping import cancel_shipment, create_shipment
from examples.orders.shipping import prepare as with_shipments

RELEASES = (1, 2, 3, 4)


@event(namespace="shop")
class ReceiptSent:
    order_id: str


@event(namespace="shop")
class GoodsPicked:
    order_id: str
    customer: str
    address: str


@event(namespace="shop")
class GoodsMissing:
    order_id: str
    reason: str


@event(namespace="shop")
class GoodsPutBack:
    order_id: str


class Shop(NamedTuple):
    """The five participants of one release."""

    orders: Participant
    inventory: Participant
    payments: Participant
    shipping: Participant
    notifications: Participant


def shop(release: int, saga_type: str = "rolling") -> Shop:
    """Return the participants as a release declares them."""
    saga = Saga(
        saga_type,
        starts=OrderCreated,
        completes=OrderFulfilled,
        fails=OrderFailed,
        version=2 if release >= 4 else 1,
    )
    return Shop(
        _orders(saga, release),
        _inventory(saga, release),
        _payments(saga, release),
        _shipping(saga, release),
        _notifications(saga, release),
    )


def place(shop: Shop, order: OrderCreated) -> str:
    """Place an order, as the web process of a release does."""
    with shop.orders.transaction() as tx:
        tx.db.execute("insert into orders values (?, 'placed')", [order.order_id])
        return tx.start(order, saga_id=order.order_id)


def _orders(saga: Saga, release: int) -> Participant:
    def prepare(db: Database) -> None:
        with_orders(db)
        db.execute(
            "create table if not exists seen (order_id text, event text, primary key (order_id, event))"
        )

    participant = Participant("orders", sagas=[saga], prepare=prepare)
    participant.compensation(of=saga.start)(fail_order)
    participant.observer(close_order)

    def follow(event, ctx: Context) -> None:  # type: ignore[no-untyped-def]
        ctx.db.execute("insert into seen values (?, ?)", [event.order_id, type(event).__name__])

    seen = PaymentProcessed if release == 1 else PaymentProcessed | ShipmentCreated
    follow.__annotations__["event"] = seen
    participant.observer(follow)
    return participant


def _inventory(saga: Saga, release: int) -> Participant:
    def prepare(db: Database) -> None:
        with_stock(db)
        db.execute("create table if not exists picked (order_id text primary key)")

    participant = Participant("inventory", sagas=[saga], prepare=prepare)
    participant.action(fails=InventoryUnavailable, timeout=timedelta(minutes=2))(reserve_inventory)
    participant.compensation(of=reserve_inventory)(release_reservation)
    if release >= 4:

        @participant.action(fails=GoodsMissing, since=2)
        def pick_goods(event: PaymentProcessed, ctx: Context) -> GoodsPicked:
            if event.address == "upstairs":
                raise Permanent("the shelf is empty")
            ctx.db.execute("insert into picked values (?)", [event.order_id])
            return GoodsPicked(event.order_id, event.customer, event.address)

        @participant.compensation(of=pick_goods)
        def put_back(picked: GoodsPicked, ctx: Context) -> GoodsPutBack:
            ctx.db.execute("delete from picked where order_id = ?", [picked.order_id])
            return GoodsPutBack(picked.order_id)

    return participant


def _payments(saga: Saga, release: int) -> Participant:
    participant = Participant("payments", sagas=[saga], prepare=with_accounts)
    if release == 1:
        action = participant.action(fails=PaymentFailed, timeout=timedelta(minutes=1))(process_payment)
    else:

        @participant.action(fails=PaymentFailed, timeout=timedelta(minutes=1), formerly="process_payment")
        def take_payment(event: InventoryReserved, ctx: Context) -> PaymentProcessed:
            return process_payment(event, ctx)

        action = take_payment
    participant.compensation(of=action)(refund_payment)
    return participant


def _shipping(saga: Saga, release: int) -> Participant:
    participant = Participant("shipping", sagas=[saga], prepare=with_shipments)
    until = {"until": 1} if release >= 4 else {}
    participant.action(fails=ShipmentFailed, timeout=timedelta(minutes=15), **until)(create_shipment)
    participant.compensation(of=create_shipment)(cancel_shipment)
    if release >= 4:

        @participant.action(fails=ShipmentFailed, since=2)
        def ship_goods(event: GoodsPicked, ctx: Context) -> ShipmentCreated:
            return create_shipment(PaymentProcessed(event.order_id, event.customer, event.address), ctx)

        @participant.compensation(of=ship_goods)
        def call_back(created: ShipmentCreated, ctx: Context) -> ShipmentCancelled:
            return cancel_shipment(created, ctx)

    return participant


def _notifications(saga: Saga, release: int) -> Participant:
    def prepare(db: Database) -> None:
        with_mails(db)
        db.execute("create table if not exists receipts (order_id text primary key)")

    participant = Participant("notifications", sagas=[saga], prepare=prepare)
    participant.action(kind="retriable", retry=Retry(delay=timedelta(milliseconds=50)))(send_confirmation)
    participant.observer(send_cancellation_notice)
    if release >= 3:

        @participant.action(kind="retriable")
        def send_receipt(event: PaymentProcessed, ctx: Context) -> ReceiptSent:
            ctx.db.execute("insert into receipts values (?)", [event.order_id])
            return ReceiptSent(event.order_id)

    return participant


orders, inventory, payments, shipping, notifications = shop(int(os.environ.get("RELEASE", "1")))
