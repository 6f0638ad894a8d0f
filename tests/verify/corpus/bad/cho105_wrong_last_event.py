"""The last step says that it mailed; nothing says that the order is fulfilled."""

from choreo import Context, Participant
from tests.verify.corpus.contract import (
    Mailed,
    OrderCreated,
    OrderFailed,
    Released,
    Shipped,
    Unavailable,
    order,
)
from tests.verify.corpus.parts import payments, shipping, stock  # noqa: F401

orders = Participant("orders", sagas=[order])
mail = Participant("mail", sagas=[order])


@orders.compensation(of=order.start)  # expect: CHO105
def fail(event: Unavailable | Released, created: OrderCreated, ctx: Context) -> OrderFailed: ...


@mail.action(kind="retriable")
def confirm(event: Shipped, ctx: Context) -> Mailed: ...
