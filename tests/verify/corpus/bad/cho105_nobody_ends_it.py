"""The participant that ends the saga has left."""

from choreo import Context, Participant
from tests.verify.corpus.contract import (
    OrderCreated,
    OrderFailed,
    Released,
    Unavailable,
    order,
)
from tests.verify.corpus.parts import payments, shipping, stock  # noqa: F401

orders = Participant("orders", sagas=[order])


@orders.compensation(of=order.start)  # expect: CHO105
def fail(event: Unavailable | Released, created: OrderCreated, ctx: Context) -> OrderFailed: ...
