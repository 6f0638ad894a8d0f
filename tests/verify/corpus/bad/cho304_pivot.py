"""Orders gives up on the shipment, which can't be taken back."""

from datetime import timedelta

from choreo import Context, Participant, event
from tests.verify.corpus.contract import Charged, OrderCreated, OrderFailed, Released, Unavailable, order
from tests.verify.corpus.parts import mail, payments, shipping, stock  # noqa: F401

orders = Participant("orders", sagas=[order])


@event(namespace="shop")
class ShipmentLate:
    order_id: str


@orders.compensation(of=order.start)
def fail(event: Unavailable | Released, created: OrderCreated, ctx: Context) -> OrderFailed: ...


@orders.deadline(of="shipping.ship", within=timedelta(hours=1))  # expect: CHO304
def shipment_is_late(event: Charged, ctx: Context) -> ShipmentLate: ...
