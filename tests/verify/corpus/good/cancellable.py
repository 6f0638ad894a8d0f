"""A customer may cancel at any time. # good: CHO105, CHO106"""

from choreo import Context, Participant
from tests.verify.corpus.contract import (
    Charged,
    Declined,
    NotShipped,
    OrderCreated,
    OrderFailed,
    OrderFulfilled,
    Refunded,
    Shipped,
    cancellable,
)

orders = Participant("orders", sagas=[cancellable])
payments = Participant("payments", sagas=[cancellable])
shipping = Participant("shipping", sagas=[cancellable])


@orders.compensation(of=cancellable.start)
def fail(event: Declined | Refunded, created: OrderCreated, ctx: Context) -> OrderFailed: ...


@orders.action(kind="retriable")
def close(event: Shipped, ctx: Context) -> OrderFulfilled: ...


@payments.action(fails=Declined)
def charge(event: OrderCreated, ctx: Context) -> Charged: ...


@payments.compensation(of=charge)
def refund(event: NotShipped, charged: Charged, ctx: Context) -> Refunded: ...


@shipping.action(kind="pivot", fails=NotShipped)
def ship(event: Charged, ctx: Context) -> Shipped: ...
