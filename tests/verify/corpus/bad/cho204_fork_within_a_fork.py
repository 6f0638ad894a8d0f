"""The fork is undone before the branch that forks again is."""

from choreo import Aborted, Context, Participant
from tests.verify.corpus.contract import (
    Charged,
    Declined,
    Invoiced,
    InvoiceVoided,
    NotInvoiced,
    OrderCreated,
    OrderFailed,
    OrderFulfilled,
    Refunded,
    Released,
    Reserved,
    Unavailable,
    order,
)

orders = Participant("orders", sagas=[order])
stock = Participant("stock", sagas=[order])
payments = Participant("payments", sagas=[order])
billing = Participant("billing", sagas=[order])


@orders.compensation(of=order.start)
def fail(event: Unavailable | Released, created: OrderCreated, ctx: Context) -> OrderFailed: ...


@orders.action(kind="retriable")
def close(charged: Charged, invoiced: Invoiced, ctx: Context) -> OrderFulfilled: ...


@stock.action(fails=Unavailable)
def reserve(event: OrderCreated, ctx: Context) -> Reserved: ...


@stock.compensation(of=reserve)  # expect: CHO204
def release(event: Declined | Refunded, reserved: Reserved, ctx: Context) -> Released: ...


@payments.action(fails=Declined)
def charge(event: Reserved, ctx: Context) -> Charged: ...


@payments.compensation(of=charge)
def refund(event: Aborted, charged: Charged, ctx: Context) -> Refunded: ...


@billing.action(fails=NotInvoiced)
def invoice(event: Reserved, ctx: Context) -> Invoiced: ...


@billing.compensation(of=invoice)
def void(event: Aborted, invoiced: Invoiced, ctx: Context) -> InvoiceVoided: ...
