"""Everybody waits for the stock and the payment, and only these two give up: one finding names both."""

from choreo import Context, Participant
from tests.verify.corpus.contract import (
    Declined,
    OrderCreated,
    Refunded,
    Released,
    Reserved,
    Unavailable,
    order,
)
from tests.verify.corpus.parts import mail, orders, payments, shipping  # noqa: F401

stock = Participant("stock", sagas=[order])


@stock.action(fails=Unavailable, timeout=None)  # expect: CHO301
def reserve(event: OrderCreated, ctx: Context) -> Reserved: ...


@stock.compensation(of=reserve)
def release(event: Declined | Refunded, reserved: Reserved, ctx: Context) -> Released: ...
