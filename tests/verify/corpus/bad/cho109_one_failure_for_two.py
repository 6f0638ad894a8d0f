"""Stock and payments say no in the same words."""

from choreo import Context, Participant
from tests.verify.corpus.contract import (
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

payments = Participant("payments", sagas=[order])
stock = Participant("stock", sagas=[order])


@payments.action(fails=Declined)  # expect: CHO109
def charge(event: Reserved, ctx: Context) -> Charged: ...


@payments.compensation(of=charge)
def refund(event: NotShipped, charged: Charged, ctx: Context) -> Refunded: ...


@stock.action(fails=(Unavailable, Declined))
def reserve(event: OrderCreated, ctx: Context) -> Reserved: ...


@stock.compensation(of=reserve)
def release(event: Refunded, reserved: Reserved, ctx: Context) -> Released: ...
