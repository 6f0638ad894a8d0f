"""Payment and invoice in parallel, joined, and each undone. # good: CHO108, CHO110, CHO114, CHO203, CHO204"""

from choreo import Context, Participant
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


@billing.action(fails=NotInvoiced)
def invoice(event: OrderCreated, ctx: Context) -> Invoiced: ...


@billing.compensation(of=invoice)
def void(event: NotShipped, invoiced: Invoiced, ctx: Context) -> InvoiceVoided: ...


@shipping.action(kind="pivot", fails=NotShipped)
def ship(charged: Charged, invoiced: Invoiced, ctx: Context) -> Shipped: ...
