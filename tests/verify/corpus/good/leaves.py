"""Three branches that nothing follows but the end: the first failure undoes them. # good: CHO212, CHO203"""

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
    order,
)

orders = Participant("orders", sagas=[order])
payments = Participant("payments", sagas=[order])
billing = Participant("billing", sagas=[order])


@orders.compensation(of=order.start)
def fail(
    payment: Declined | Refunded, invoice: NotInvoiced | InvoiceVoided, created: OrderCreated, ctx: Context
) -> OrderFailed: ...


@orders.action(kind="retriable")
def close(charged: Charged, invoiced: Invoiced, ctx: Context) -> OrderFulfilled: ...


@payments.action(fails=Declined)
def charge(event: OrderCreated, ctx: Context) -> Charged: ...


@payments.compensation(of=charge)
def refund(event: Aborted, charged: Charged, ctx: Context) -> Refunded: ...


@billing.action(fails=NotInvoiced)
def invoice(event: OrderCreated, ctx: Context) -> Invoiced: ...


@billing.compensation(of=invoice)
def void(event: Declined, invoiced: Invoiced, ctx: Context) -> InvoiceVoided: ...
