"""Orders: takes the order, starts its saga, and records the end."""

from typing import Any

from choreo import Context, Participant

from .contract import (
    InventoryUnavailable,
    OrderCreated,
    OrderFailed,
    OrderFulfilled,
    ReservationReleased,
    order_fulfilment,
)
from .sql import execute


def prepare(db: Any) -> None:
    execute(db, "create table if not exists orders (order_id text primary key, status text not null)")


orders = Participant("orders", sagas=[order_fulfilment], prepare=prepare)


def place_order(order: OrderCreated) -> str:
    """Insert the order and start its saga, in one transaction; the order's id is the saga's."""
    with orders.transaction() as tx:
        execute(tx.db, "insert into orders values (:order_id, 'placed')", order_id=order.order_id)
        return tx.start(order, saga_id=order.order_id)


@orders.compensation(of=order_fulfilment.start)
def fail_order(
    event: InventoryUnavailable | ReservationReleased, order: OrderCreated, ctx: Context
) -> OrderFailed:
    execute(ctx.db, "update orders set status = 'failed' where order_id = :id", id=order.order_id)
    return OrderFailed(order.order_id, getattr(event, "reason", "a later step failed"))


@orders.observer
def close_order(event: OrderFulfilled, ctx: Context) -> None:
    execute(ctx.db, "update orders set status = 'fulfilled' where order_id = :id", id=event.order_id)
