"""A deadline counts from an event that nothing emits, and that a read model takes where it has come."""

from datetime import timedelta

from choreo import Aborted, Context, Earlier, Participant
from tests.verify.corpus.contract import (
    Charged,
    ChargeLate,
    Declined,
    Invoiced,
    NotShipped,
    OrderFulfilled,
    Refunded,
    Reserved,
    order,
)
from tests.verify.corpus.parts import mail, orders, shipping, stock  # noqa: F401

payments = Participant("payments", sagas=[order])
watch = Participant("watch", sagas=[order])


@payments.action(fails=Declined)
def charge(event: Reserved, ctx: Context) -> Charged: ...


@payments.compensation(of=charge)
def refund(event: NotShipped | Aborted, charged: Charged, ctx: Context) -> Refunded: ...


@payments.observer
def file(event: OrderFulfilled, invoice: Earlier[Invoiced] | None, ctx: Context) -> None: ...


@watch.deadline(of="payments.charge", within=timedelta(hours=1))  # expect: CHO102
def charge_is_late(event: Invoiced, ctx: Context) -> ChargeLate: ...
