"""Orders: takes the order, starts its saga, and records the end."""

from sqlite_utils import Database

from choreo import Context, Participant

from .contract import (
    InventoryUnavailable,
    OrderCreated,
    OrderFailed,
    OrderFulfilled,
    ReservationReleased,
    order_fulfilment,
)


def prepare(db: Database) -> None:
    db.execute("create table if not exists orders (order_id text primary key, status text not null)")


orders = Participant("orders", sagas=[order_fulfilment], prepare=prepare)


def place_order(order: OrderCreated) -> str:
    """Insert the order and start its saga, in one transaction; the order's id is the saga's."""
    with orders.transaction() as tx:
        tx.db.execute("insert into orders values (?, 'placed')", [order.order_id])
        return tx.start(order, saga_id=order.order_id)


@orders.compensation(of=order_fulfilment.start)
def fail_order(
    event: InventoryUnavailable | ReservationReleased, order: OrderCreated, ctx: Context
) -> OrderFailed:
    ctx.db.execute("update orders set status = 'failed' where order_id = ?", [order.order_id])
    return OrderFailed(order.order_id, getattr(event, "reason", "a later step failed"))


@orders.observer
def close_order(event: OrderFulfilled, ctx: Context) -> None:
    ctx.db.execute("update orders set status = 'fulfilled' where order_id = ?", [event.order_id])
