"""Compensations that name no event: what calls them follows from the others. # good: CHO203, CHO204"""

from choreo import Context, Participant
from tests.verify.corpus.contract import (
    Charged,
    Declined,
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
def fail(created: OrderCreated, ctx: Context) -> OrderFailed: ...


@stock.action(fails=Unavailable)
def reserve(event: OrderCreated, ctx: Context) -> Reserved: ...


@stock.compensation(of=reserve)
def release(reserved: Reserved, ctx: Context) -> Released: ...


@payments.action(fails=Declined)
def charge(event: Reserved, ctx: Context) -> Charged: ...


@payments.compensation(of=charge)
def refund(charged: Charged, ctx: Context) -> Refunded: ...
