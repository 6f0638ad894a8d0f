"""Orders: starts sagas, cancels some, watches the shipment, ends what fails."""

from __future__ import annotations

from datetime import timedelta

from choreo import Context, Participant
from tests.programs.soak.market.contract import (
    Charged,
    OrderCancelled,
    OrderFailed,
    OrderPlaced,
    OutOfStock,
    Released,
    ShipmentLate,
    market,
    prepare,
    row,
)

orders = Participant("orders", sagas=[market], prepare=prepare)


@orders.compensation(of=market.start)
def fail_order(event: OutOfStock | Released, placed: OrderPlaced, ctx: Context) -> OrderFailed:
    row(ctx, "failed")
    return OrderFailed(placed.order_id)


@orders.deadline(of="shipping.ship", after=Charged, within=timedelta(seconds=4))
def ship_is_late(event: Charged, ctx: Context) -> ShipmentLate:
    row(ctx, "late")
    return ShipmentLate(event.order_id)


def place(order: OrderPlaced) -> None:
    """Start the saga of an order, whose id is the saga's."""
    with orders.transaction() as tx:
        tx.start(order, saga_id=order.order_id)


def cancel(order_id: str) -> None:
    """Cancel an order; too late, it changes nothing."""
    with orders.transaction() as tx:
        tx.cancel(order_id, OrderCancelled(order_id))
