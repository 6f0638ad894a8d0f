"""What was ordered from the supplier is never called off."""

from choreo import Context, Participant
from tests.verify.corpus.contract import (
    Backordered,
    Charged,
    Declined,
    NotShipped,
    OrderCreated,
    Refunded,
    Released,
    Reserved,
    Unavailable,
    order,
)
from tests.verify.corpus.parts import mail, orders, shipping  # noqa: F401

stock = Participant("stock", sagas=[order])
payments = Participant("payments", sagas=[order])


@stock.action(fails=Unavailable)  # expect: CHO201
def reserve(event: OrderCreated, ctx: Context) -> Reserved | Backordered: ...


@stock.compensation(of=reserve)
def release(event: Declined | Refunded, reserved: Reserved, ctx: Context) -> Released: ...


@payments.action(fails=Declined)
def charge(event: Reserved | Backordered, ctx: Context) -> Charged: ...


@payments.compensation(of=charge)
def refund(event: NotShipped, charged: Charged, ctx: Context) -> Refunded: ...
