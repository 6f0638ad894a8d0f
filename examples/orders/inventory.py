"""Inventory: sets goods aside, and puts them back."""

from datetime import timedelta

from sqlite_utils import Database

from choreo import Context, Participant, Permanent

from .contract import (
    InventoryReserved,
    InventoryUnavailable,
    OrderCreated,
    ReservationReleased,
    order_fulfilment,
)


def prepare(db: Database) -> None:
    db.execute("create table if not exists stock (sku text primary key, available integer not null)")
    db.execute(
        "create table if not exists reservations (order_id text primary key, sku text, quantity integer)"
    )
    db.execute("insert or ignore into stock values ('apple', 1000000), ('pear', 5)")


inventory = Participant("inventory", sagas=[order_fulfilment], prepare=prepare)


# choreo: ignore[CHO301] an order waits until the service is up again: nobody gives up on it
@inventory.action(fails=InventoryUnavailable, timeout=timedelta(minutes=2))
def reserve_inventory(event: OrderCreated, ctx: Context) -> InventoryReserved:
    taken = ctx.db.execute(
        "update stock set available = available - :quantity where sku = :sku and available >= :quantity",
        {"sku": event.sku, "quantity": event.quantity},
    )
    if taken.rowcount == 0:
        raise Permanent(f"not enough {event.sku} in stock")
    ctx.db.execute("insert into reservations values (?, ?, ?)", [event.order_id, event.sku, event.quantity])
    return InventoryReserved(event.order_id, event.customer, event.total, event.address)


@inventory.compensation(of=reserve_inventory)
def release_reservation(reserved: InventoryReserved, ctx: Context) -> ReservationReleased:
    ctx.db.execute(
        "update stock set available = available + r.quantity"
        " from reservations r where r.sku = stock.sku and r.order_id = ?",
        [reserved.order_id],
    )
    ctx.db.execute("delete from reservations where order_id = ?", [reserved.order_id])
    return ReservationReleased(reserved.order_id)
