"""The invoice wants to know the payment's number, and runs beside the payment."""

from choreo import Context, Earlier, Participant
from tests.verify.corpus.contract import (
    Charged,
    Declined,
    Invoiced,
    InvoiceVoided,
    NotInvoiced,
    NotShipped,
    OrderCreated,
    OrderFailed,
    Refunded,
    Shipped,
    order,
)
from tests.verify.corpus.parts import mail  # noqa: F401

orders = Participant("orders", sagas=[order])
payments = Participant("payments", sagas=[order])
billing = Participant("billing", sagas=[order])
shipping = Participant("shipping", sagas=[order])


@orders.compensation(of=order.start)
def fail(
    payment: Declined | Refunded, invoice: NotInvoiced | InvoiceVoided, created: OrderCreated, ctx: Context
) -> OrderFailed: ...


@payments.action(fails=Declined)
def charge(event: OrderCreated, ctx: Context) -> Charged: ...


@payments.compensation(of=charge)
def refund(event: NotShipped, charged: Charged, ctx: Context) -> Refunded: ...


@billing.action(fails=NotInvoiced)  # expect: CHO401
def invoice(event: OrderCreated, payment: Earlier[Charged], ctx: Context) -> Invoiced: ...


@billing.compensation(of=invoice)
def void(event: NotShipped, invoiced: Invoiced, ctx: Context) -> InvoiceVoided: ...


@shipping.action(kind="pivot", fails=NotShipped)
def ship(charged: Charged, invoiced: Invoiced, ctx: Context) -> Shipped: ...
