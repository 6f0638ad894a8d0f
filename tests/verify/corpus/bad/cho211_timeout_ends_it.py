"""The order has failed as soon as the stock is late."""

from datetime import timedelta

from choreo import Aborted, Context, Participant
from tests.verify.corpus.contract import (
    Declined,
    OrderCreated,
    OrderFailed,
    Refunded,
    Released,
    Reserved,
    ReserveLate,
    Unavailable,
    order,
)
from tests.verify.corpus.parts import mail, payments, shipping  # noqa: F401

orders = Participant("orders", sagas=[order])
stock = Participant("stock", sagas=[order])


@orders.compensation(of=order.start)  # expect: CHO211
def fail(event: Unavailable | Released | ReserveLate, created: OrderCreated, ctx: Context) -> OrderFailed: ...


@orders.deadline(of="stock.reserve", within=timedelta(hours=1))
def stock_is_late(event: OrderCreated, ctx: Context) -> ReserveLate: ...


@stock.action(fails=Unavailable)
def reserve(event: OrderCreated, ctx: Context) -> Reserved: ...


@stock.compensation(of=reserve)
def release(event: Declined | Refunded | Aborted, reserved: Reserved, ctx: Context) -> Released: ...
