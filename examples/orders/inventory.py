"""Inventory: sets goods aside, and puts them back."""

from datetime import timedelta
from typing import Any

from choreo import Context, Participant, Permanent

from .contract import (
    InventoryReserved,
    InventoryUnavailable,
    OrderCreated,
    ReservationReleased,
    order_fulfilment,
)
from .sql import execute


def prepare(db: Any) -> None:
    execute(db, "create table if not exists stock (sku text primary key, available integer not null)")
    execute(
        db, "create table if not exists reservations (order_id text primary key, sku text, quantity integer)"
    )
    execute(db, "insert into stock values ('apple', 1000000), ('pear', 5) on conflict do nothing")


inventory = Participant("inventory", sagas=[order_fulfilment], prepare=prepare)


# choreo: ignore[CHO301] an order waits until the service is up again: nobody gives up on it
@inventory.action(fails=InventoryUnavailable, timeout=timedelta(minutes=2))
def reserve_inventory(event: OrderCreated, ctx: Context) -> InventoryReserved:
    taken = execute(
        ctx.db,
        "update stock set available = available - :quantity where sku = :sku and available >= :quantity",
        sku=event.sku,
        quantity=event.quantity,
    )
    if taken.rowcount == 0:
        raise Permanent(f"not enough {event.sku} in stock")
    execute(
        ctx.db,
        "insert into reservations values (:order_id, :sku, :quantity)",
        order_id=event.order_id,
        sku=event.sku,
        quantity=event.quantity,
    )
    return InventoryReserved(event.order_id, event.customer, event.total, event.address)


@inventory.compensation(of=reserve_inventory)
def release_reservation(reserved: InventoryReserved, ctx: Context) -> ReservationReleased:
    execute(
        ctx.db,
        "update stock set available = available + r.quantity"
        " from reservations r where r.sku = stock.sku and r.order_id = :id",
        id=reserved.order_id,
    )
    execute(ctx.db, "delete from reservations where order_id = :id", id=reserved.order_id)
    return ReservationReleased(reserved.order_id)
