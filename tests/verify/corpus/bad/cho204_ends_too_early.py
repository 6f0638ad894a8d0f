"""The order has failed as soon as the money is back; the stock is still reserved."""

from choreo import Context, Participant
from tests.verify.corpus.contract import Declined, OrderCreated, OrderFailed, Refunded, Unavailable, order
from tests.verify.corpus.parts import mail, payments, shipping, stock  # noqa: F401

orders = Participant("orders", sagas=[order])


@orders.compensation(of=order.start)  # expect: CHO204
def fail(event: Unavailable | Declined | Refunded, created: OrderCreated, ctx: Context) -> OrderFailed: ...
