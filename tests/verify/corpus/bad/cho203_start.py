"""The first step's failure ends the saga; that it was undone does not."""

from choreo import Context, Participant
from tests.verify.corpus.contract import OrderCreated, OrderFailed, Unavailable, order
from tests.verify.corpus.parts import mail, payments, shipping, stock  # noqa: F401

orders = Participant("orders", sagas=[order])


@orders.compensation(of=order.start)  # expect: CHO203
def fail(event: Unavailable, created: OrderCreated, ctx: Context) -> OrderFailed: ...
