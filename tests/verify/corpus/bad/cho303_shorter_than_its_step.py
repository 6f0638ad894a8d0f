"""The deadline passes before the payment has used up its time."""

from datetime import timedelta

from choreo import Aborted, Context, Participant
from tests.verify.corpus.contract import (
    Charged,
    ChargeLate,
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
def reserve(event: OrderCreated, ctx: Context) -> Reserved: ...


@stock.compensation(of=reserve)
def release(event: Declined | Refunded, reserved: Reserved, ctx: Context) -> Released: ...


@stock.deadline(of="payments.charge", within=timedelta(minutes=1))  # expect: CHO303
def charge_is_late(event: Reserved, ctx: Context) -> ChargeLate: ...


@payments.action(fails=Declined, timeout=timedelta(minutes=2))
def charge(event: Reserved, ctx: Context) -> Charged: ...


@payments.compensation(of=charge)
def refund(event: NotShipped | Aborted, charged: Charged, ctx: Context) -> Refunded: ...
