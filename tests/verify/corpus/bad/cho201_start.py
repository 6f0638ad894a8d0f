"""The first step of all: when it fails, the saga stays open for ever, since nothing ends it."""

from choreo import Context, Participant
from tests.verify.corpus.contract import (
    Declined,
    OrderCreated,
    OrderFailed,
    OrderFulfilled,
    Refunded,
    Released,
    Reserved,
    Unavailable,
    order,
)
from tests.verify.corpus.parts import mail, payments, shipping  # noqa: F401

orders = Participant("orders", sagas=[order])
stock = Participant("stock", sagas=[order])


@orders.observer
def close(event: OrderFulfilled | OrderFailed, ctx: Context) -> None: ...


@stock.action(fails=Unavailable)  # expect: CHO201
def reserve(event: OrderCreated, ctx: Context) -> Reserved: ...


@stock.compensation(of=reserve)
def release(event: Declined | Refunded, reserved: Reserved, ctx: Context) -> Released: ...
