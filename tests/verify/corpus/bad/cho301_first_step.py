"""The payment is watched, but from the reservation on: while the stock is down, nobody gives up."""

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
from tests.verify.corpus.parts import mail, shipping  # noqa: F401

orders = Participant("orders", sagas=[order])
stock = Participant("stock", sagas=[order])
payments = Participant("payments", sagas=[order])


@orders.compensation(of=order.start)
def fail(event: Unavailable | Released, created: OrderCreated, ctx: Context) -> OrderFailed: ...


@orders.deadline(of="payments.charge", within=timedelta(minutes=10))
def charge_is_late(event: Reserved, ctx: Context) -> ChargeLate: ...


@stock.action(fails=Unavailable)  # expect: CHO301
def reserve(event: OrderCreated, ctx: Context) -> Reserved: ...


@stock.compensation(of=reserve)
def release(event: Declined | Refunded, reserved: Reserved, ctx: Context) -> Released: ...


@payments.action(fails=Declined)
def charge(event: Reserved, ctx: Context) -> Charged: ...


@payments.compensation(of=charge)
def refund(event: NotShipped | Aborted, charged: Charged, ctx: Context) -> Refunded: ...
