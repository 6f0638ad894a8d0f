"""The invoice is written while the parcel leaves, and may fail."""

from choreo import Aborted, Context, Participant
from tests.verify.corpus.contract import (
    Charged,
    Declined,
    Invoiced,
    InvoiceVoided,
    NotInvoiced,
    NotShipped,
    OrderFulfilled,
    Refunded,
    Reserved,
    Shipped,
    order,
)
from tests.verify.corpus.parts import orders, shipping, stock  # noqa: F401

payments = Participant("payments", sagas=[order])
billing = Participant("billing", sagas=[order])
mail = Participant("mail", sagas=[order])


@payments.action(fails=Declined)
def charge(event: Reserved, ctx: Context) -> Charged: ...


@payments.compensation(of=charge)
def refund(
    shipment: NotShipped, invoice: NotInvoiced | InvoiceVoided, charged: Charged, ctx: Context
) -> Refunded: ...


@billing.action(fails=NotInvoiced)  # expect: CHO209
def invoice(event: Charged, ctx: Context) -> Invoiced: ...


@billing.compensation(of=invoice)
def void(event: Aborted, invoiced: Invoiced, ctx: Context) -> InvoiceVoided: ...


@mail.action(kind="retriable")
def confirm(shipped: Shipped, invoiced: Invoiced, ctx: Context) -> OrderFulfilled: ...
