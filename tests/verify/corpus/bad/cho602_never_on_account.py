"""Charging declares that it may put an order on account, and never does."""

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


@payments.action(fails=Declined)  # expect: CHO602
def charge(event: Reserved, ctx: Context) -> Charged | Backordered:
    return Charged(event.order_id)


@payments.compensation(of=charge)
def refund(event: NotShipped, done: Charged | Backordered, ctx: Context) -> Refunded:
    return Refunded(done.order_id)


@shipping.action(kind="pivot", fails=NotShipped)
def ship(event: Charged | Backordered, ctx: Context) -> Shipped:
    return Shipped(event.order_id)
