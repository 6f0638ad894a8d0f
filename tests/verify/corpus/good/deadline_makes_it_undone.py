"""Nothing that can fail follows the shipment, but a deadline on it may undo it. # good: CHO212"""

from datetime import timedelta

from choreo import Aborted, Context, Participant, event
from tests.verify.corpus.contract import (
    Charged,
    Declined,
    NotShipped,
    Refunded,
    Reserved,
    ShipmentCancelled,
    Shipped,
    order,
)
from tests.verify.corpus.parts import mail, orders, stock  # noqa: F401

payments = Participant("payments", sagas=[order])
shipping = Participant("shipping", sagas=[order])


@event(namespace="shop")
class ShipmentLate:
    order_id: str


@payments.action(fails=Declined)
def charge(event: Reserved, ctx: Context) -> Charged: ...


@payments.compensation(of=charge)
def refund(event: NotShipped | ShipmentCancelled, charged: Charged, ctx: Context) -> Refunded: ...


@payments.deadline(of="shipping.ship", within=timedelta(hours=1))
def shipment_is_late(event: Charged, ctx: Context) -> ShipmentLate: ...


@shipping.action(fails=NotShipped)
def ship(event: Charged, ctx: Context) -> Shipped: ...


@shipping.compensation(of=ship)
def cancel(event: Aborted, shipped: Shipped, ctx: Context) -> ShipmentCancelled: ...
