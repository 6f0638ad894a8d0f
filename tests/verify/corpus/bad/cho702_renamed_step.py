"""A deadline watches a renamed step by its name of today."""

from datetime import timedelta

from choreo import Aborted, Context, Participant
from tests.verify.corpus.contract import (
    Charged,
    ChargeLate,
    Declined,
    NotShipped,
    OrderCreated,
    OrderFailed,
    Refunded,
    Released,
    Reserved,
    Unavailable,
    order,
)
from tests.verify.corpus.parts import mail, shipping, stock  # noqa: F401

orders = Participant("orders", sagas=[order])
payments = Participant("payments", sagas=[order])


@orders.compensation(of=order.start)
def fail(event: Unavailable | Released, created: OrderCreated, ctx: Context) -> OrderFailed: ...


@orders.deadline(of="payments.take", within=timedelta(hours=1))  # expect: CHO702
def charge_is_late(event: OrderCreated, ctx: Context) -> ChargeLate: ...


@payments.action(fails=Declined, formerly=("pay", "charge"))
def take(event: Reserved, ctx: Context) -> Charged: ...


@payments.compensation(of=take)
def refund(event: NotShipped | Aborted, charged: Charged, ctx: Context) -> Refunded: ...
