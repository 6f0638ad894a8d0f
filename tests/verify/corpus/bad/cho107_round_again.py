"""An audit sends the order back to the stock."""

from choreo import Context, Participant, event
from tests.verify.corpus.contract import (
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


@event(namespace="shop")
class RecountAsked:
    order_id: str


@stock.action(fails=Unavailable)  # expect: CHO107
def reserve(event: OrderCreated | RecountAsked, ctx: Context) -> Reserved: ...


@stock.compensation(of=reserve)
def release(event: Declined | Refunded, reserved: Reserved, ctx: Context) -> Released: ...


@payments.action(fails=Declined)
def charge(event: Reserved, ctx: Context) -> Charged | RecountAsked: ...


@payments.compensation(of=charge)
def refund(event: NotShipped | Unavailable, done: Charged | RecountAsked, ctx: Context) -> Refunded: ...
