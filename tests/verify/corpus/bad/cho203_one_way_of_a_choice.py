"""One compensation for two ways, and it knows only what follows the one."""

from choreo import Context, Participant
from tests.verify.corpus.contract import (
    Backordered,
    Charged,
    Declined,
    Invoiced,
    InvoiceVoided,
    NotInvoiced,
    NotShipped,
    OrderCreated,
    Refunded,
    Released,
    Reserved,
    Shipped,
    Unavailable,
    order,
)
from tests.verify.corpus.parts import mail, orders, payments  # noqa: F401

stock = Participant("stock", sagas=[order])
billing = Participant("billing", sagas=[order])
shipping = Participant("shipping", sagas=[order])


@stock.action(fails=Unavailable)
def reserve(event: OrderCreated, ctx: Context) -> Reserved | Backordered: ...


@stock.compensation(of=reserve)  # expect: CHO203
def release(event: Declined | Refunded, done: Reserved | Backordered, ctx: Context) -> Released: ...


@billing.action(fails=NotInvoiced)
def invoice(event: Backordered, ctx: Context) -> Invoiced: ...


@billing.compensation(of=invoice)
def void(event: NotShipped, invoiced: Invoiced, ctx: Context) -> InvoiceVoided: ...


@shipping.action(kind="pivot", fails=NotShipped)
def ship(event: Charged | Invoiced, ctx: Context) -> Shipped: ...
