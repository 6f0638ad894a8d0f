"""Orders gives up on the payment, and a late charge is refunded."""

# good: CHO211, CHO301, CHO302, CHO303, CHO304, CHO702

from datetime import timedelta

from choreo import Aborted, Context, Participant
from tests.verify.corpus.contract import (
    Charged,
    ChargeLate,
    Declined,
    NotShipped,
    OrderCreated,
    OrderFailed,
    Refunded,
    Released,
    Reserved,
    Unavailable,
    order,
)
from tests.verify.corpus.parts import mail, shipping, stock  # noqa: F401

orders = Participant("orders", sagas=[order])
payments = Participant("payments", sagas=[order])


@orders.compensation(of=order.start)
def fail(event: Unavailable | Released, created: OrderCreated, ctx: Context) -> OrderFailed: ...


@orders.deadline(of="payments.charge", within=timedelta(minutes=10))
def charge_is_late(event: OrderCreated, ctx: Context) -> ChargeLate: ...


@payments.action(fails=Declined)
def charge(event: Reserved, ctx: Context) -> Charged: ...


@payments.compensation(of=charge)
def refund(event: NotShipped | Aborted, charged: Charged, ctx: Context) -> Refunded: ...
