"""Shipping: sends the parcel, and calls it back."""

from datetime import timedelta

from sqlite_utils import Database

from choreo import Context, Participant, Permanent

from .contract import (
    PaymentProcessed,
    ShipmentCancelled,
    ShipmentCreated,
    ShipmentFailed,
    order_fulfilment,
)


def prepare(db: Database) -> None:
    db.execute("create table if not exists shipments (order_id text primary key, address text not null)")


shipping = Participant("shipping", sagas=[order_fulfilment], prepare=prepare)


# choreo: ignore[CHO212] the mail can't fail today; a step that can is to find a shipment that is undone
# choreo: ignore[CHO301] an order waits until the service is up again: nobody gives up on it
@shipping.action(fails=ShipmentFailed, timeout=timedelta(minutes=15))
def create_shipment(event: PaymentProcessed, ctx: Context) -> ShipmentCreated:
    if event.address == "nowhere":
        raise Permanent("no carrier goes there")
    ctx.db.execute("insert into shipments values (?, ?)", [event.order_id, event.address])
    return ShipmentCreated(event.order_id, event.customer)


@shipping.compensation(of=create_shipment)
def cancel_shipment(created: ShipmentCreated, ctx: Context) -> ShipmentCancelled:
    ctx.db.execute("delete from shipments where order_id = ?", [created.order_id])
    return ShipmentCancelled(created.order_id)
