"""For mail an order's id is a number."""

from choreo import Context, Participant, event
from tests.verify.corpus.contract import OrderFulfilled, order
from tests.verify.corpus.parts import orders, payments, shipping, stock  # noqa: F401

mail = Participant("mail", sagas=[order])


@event(namespace="shop")
class Shipped:
    order_id: int


@mail.action(kind="retriable")  # expect: CHO501
def confirm(event: Shipped, ctx: Context) -> OrderFulfilled: ...
