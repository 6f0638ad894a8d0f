"""What is in stock and what is ordered goes one way after the choice."""

# good: CHO106, CHO107, CHO108, CHO602

from choreo import Context, Participant
from tests.verify.corpus.contract import (
    Backordered,
    Charged,
    Declined,
    NotShipped,
    OrderCreated,
    Refunded,
    Released,
    Reserved,
    Unavailable,
    order,
)
from tests.verify.corpus.parts import mail, orders, shipping  # noqa: F401

stock = Participant("stock", sagas=[order])
payments = Participant("payments", sagas=[order])


@stock.action(fails=Unavailable)
def reserve(event: OrderCreated, ctx: Context) -> Reserved | Backordered:
    return Reserved(event.order_id) if event.order_id else Backordered(event.order_id)


@stock.compensation(of=reserve)
def release(event: Declined | Refunded, done: Reserved | Backordered, ctx: Context) -> Released:
    return Released(done.order_id)


@payments.action(fails=Declined)
def charge(event: Reserved | Backordered, ctx: Context) -> Charged:
    return Charged(event.order_id)


@payments.compensation(of=charge)
def refund(event: NotShipped, charged: Charged, ctx: Context) -> Refunded:
    return Refunded(charged.order_id)
