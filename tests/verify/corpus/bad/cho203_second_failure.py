"""A second way to say no, which the stock doesn't know."""

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
class Fraud:
    order_id: str


@stock.action(fails=Unavailable)
def reserve(event: OrderCreated, ctx: Context) -> Reserved: ...


@stock.compensation(of=reserve)  # expect: CHO203
def release(event: Declined | Refunded, reserved: Reserved, ctx: Context) -> Released: ...


@payments.action(fails=(Declined, Fraud))
def charge(event: Reserved, ctx: Context) -> Charged: ...


@payments.compensation(of=charge)
def refund(event: NotShipped, charged: Charged, ctx: Context) -> Refunded: ...
