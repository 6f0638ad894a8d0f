"""Nothing that can fail comes after the shipment, so nothing ever cancels it."""

from choreo import Aborted, Context, Participant
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


@payments.action(fails=Declined)
def charge(event: Reserved, ctx: Context) -> Charged: ...


@payments.compensation(of=charge)
def refund(event: NotShipped | ShipmentCancelled, charged: Charged, ctx: Context) -> Refunded: ...


@shipping.action(fails=NotShipped)  # expect: CHO212
def ship(event: Charged, ctx: Context) -> Shipped: ...


@shipping.compensation(of=ship)
def cancel(event: Aborted, shipped: Shipped, ctx: Context) -> ShipmentCancelled: ...
