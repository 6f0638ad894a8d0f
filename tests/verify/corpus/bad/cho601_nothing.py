"""In one case the handler returns nothing at all."""

from choreo import Context, Participant
from tests.verify.corpus.contract import OrderFulfilled, Shipped, order
from tests.verify.corpus.parts import orders, payments, shipping, stock  # noqa: F401

mail = Participant("mail", sagas=[order])


@mail.action(kind="retriable")
def confirm(event: Shipped, ctx: Context) -> OrderFulfilled:
    if not event.order_id:
        return None  # expect: CHO601
    return OrderFulfilled(event.order_id)
