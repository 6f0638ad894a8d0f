"""A step that nothing follows is undone when one sibling fails, not when the other does."""

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
def fail(
    stock: Unavailable | Released,
    payment: Declined | Refunded,
    invoice: NotInvoiced | InvoiceVoided,
    created: OrderCreated,
    ctx: Context,
) -> OrderFailed: ...


@orders.action(kind="retriable")
def close(reserved: Reserved, charged: Charged, invoiced: Invoiced, ctx: Context) -> OrderFulfilled: ...


@stock.action(fails=Unavailable)
def reserve(event: OrderCreated, ctx: Context) -> Reserved: ...


@stock.compensation(of=reserve)  # expect: CHO203
def release(event: Declined, reserved: Reserved, ctx: Context) -> Released: ...


@payments.action(fails=Declined)
def charge(event: OrderCreated, ctx: Context) -> Charged: ...


@payments.compensation(of=charge)
def refund(event: Aborted, charged: Charged, ctx: Context) -> Refunded: ...


@billing.action(fails=NotInvoiced)
def invoice(event: OrderCreated, ctx: Context) -> Invoiced: ...


@billing.compensation(of=invoice)
def void(event: Aborted, invoiced: Invoiced, ctx: Context) -> InvoiceVoided: ...
