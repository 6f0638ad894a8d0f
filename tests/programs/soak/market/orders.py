"""Orders: starts sagas, cancels some, watches the shipment, ends what fails."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy.orm import Session

from choreo import Context, Participant
from tests.programs.soak.market.contract import (
    Charged,
    Order,
    OrderCancelled,
    OrderFailed,
    OrderPlaced,
    OutOfStock,
    Released,
    ShipmentLate,
    market,
    prepare,
    row,
    session,
)

orders = Participant("orders", sagas=[market], prepare=prepare, session=session)


@orders.compensation(of=market.start)
def fail_order(event: OutOfStock | Released, placed: OrderPlaced, ctx: Context) -> OrderFailed:
    row(ctx, "failed")
    return OrderFailed(placed.order_id)


@orders.deadline(of="shipping.ship", after=Charged, within=timedelta(seconds=4))
def ship_is_late(event: Charged, ctx: Context) -> ShipmentLate:
    row(ctx, "late")
    return ShipmentLate(event.order_id)


def place(order: OrderPlaced, within: Session | None = None) -> None:
    """Start the saga of an order, whose id is the saga's; a session writes the order as well."""
    if within is not None:
        within.add(Order(order_id=order.order_id))
    with orders.transaction(within=within) as tx:
        tx.start(order, saga_id=order.order_id)


def cancel(order_id: str, within: Session | None = None) -> None:
    """Cancel an order; too late, it changes nothing."""
    with orders.transaction(within=within) as tx:
        tx.cancel(order_id, OrderCancelled(order_id))
