"""Shipping waits until the order is both charged and put on account."""

from choreo import Context, Participant
from tests.verify.corpus.contract import (
    Backordered,
    Charged,
    Declined,
    NotShipped,
    Refunded,
    Reserved,
    Shipped,
    order,
)
from tests.verify.corpus.parts import mail, orders, stock  # noqa: F401

payments = Participant("payments", sagas=[order])
shipping = Participant("shipping", sagas=[order])


@payments.action(fails=Declined)
def charge(event: Reserved, ctx: Context) -> Charged | Backordered: ...


@payments.compensation(of=charge)
def refund(event: NotShipped, done: Charged | Backordered, ctx: Context) -> Refunded: ...


@shipping.action(kind="pivot", fails=NotShipped)  # expect: CHO108
def ship(charged: Charged, on_account: Backordered, ctx: Context) -> Shipped: ...
