"""Shipping: sends the parcel, and calls it back."""

from datetime import timedelta
from typing import Any

from choreo import Context, Participant, Permanent

from .contract import (
    PaymentProcessed,
    ShipmentCancelled,
    ShipmentCreated,
    ShipmentFailed,
    order_fulfilment,
)
from .sql import execute


def prepare(db: Any) -> None:
    execute(db, "create table if not exists shipments (order_id text primary key, address text not null)")


shipping = Participant("shipping", sagas=[order_fulfilment], prepare=prepare)


# choreo: ignore[CHO212] the mail can't fail today; a step that can is to find a shipment that is undone
# choreo: ignore[CHO301] an order waits until the service is up again: nobody gives up on it
@shipping.action(fails=ShipmentFailed, timeout=timedelta(minutes=15))
def create_shipment(event: PaymentProcessed, ctx: Context) -> ShipmentCreated:
    if event.address == "nowhere":
        raise Permanent("no carrier goes there")
    execute(ctx.db, "insert into shipments values (:id, :address)", id=event.order_id, address=event.address)
    return ShipmentCreated(event.order_id, event.customer)


@shipping.compensation(of=create_shipment)
def cancel_shipment(created: ShipmentCreated, ctx: Context) -> ShipmentCancelled:
    execute(ctx.db, "delete from shipments where order_id = :id", id=created.order_id)
    return ShipmentCancelled(created.order_id)
