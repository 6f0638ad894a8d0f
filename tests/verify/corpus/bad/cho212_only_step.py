"""A saga of one step that can be undone, and never is."""

from choreo import Aborted, Context, Participant
from tests.verify.corpus.contract import (
    OrderCreated,
    OrderFailed,
    OrderFulfilled,
    Released,
    Unavailable,
    order,
)

orders = Participant("orders", sagas=[order])
stock = Participant("stock", sagas=[order])


@orders.compensation(of=order.start)
def fail(event: Unavailable | Released, created: OrderCreated, ctx: Context) -> OrderFailed: ...


@stock.action(fails=Unavailable)  # expect: CHO212
def hand_over(event: OrderCreated, ctx: Context) -> OrderFulfilled: ...


@stock.compensation(of=hand_over)
def take_back(event: Aborted, done: OrderFulfilled, ctx: Context) -> Released: ...
