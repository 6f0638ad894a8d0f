"""What is not in stock is ordered, and then nobody goes on."""

from choreo import Context, Participant
from tests.verify.corpus.contract import (
    Backordered,
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


@stock.action(fails=Unavailable)  # expect: CHO106
def reserve(event: OrderCreated, ctx: Context) -> Reserved | Backordered: ...


@stock.compensation(of=reserve)
def release(event: Declined | Refunded, done: Reserved | Backordered, ctx: Context) -> Released: ...
