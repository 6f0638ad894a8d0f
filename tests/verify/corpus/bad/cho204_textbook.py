"""The textbook choreography: ShipmentFailed triggers refund and release at once."""

from choreo import Context, Participant
from tests.verify.corpus.contract import (
    Declined,
    NotShipped,
    OrderCreated,
    Released,
    Reserved,
    Unavailable,
    order,
)
from tests.verify.corpus.parts import mail, orders, payments, shipping  # noqa: F401

stock = Participant("stock", sagas=[order])


@stock.action(fails=Unavailable)
def reserve(event: OrderCreated, ctx: Context) -> Reserved: ...


@stock.compensation(of=reserve)  # expect: CHO204
def release(event: Declined | NotShipped, reserved: Reserved, ctx: Context) -> Released: ...
