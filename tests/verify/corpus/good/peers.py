"""One participant has two steps in the middle, and the others still call each other. # good: CHO113"""

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
    Released,
    Reserved,
    Shipped,
    Unavailable,
    order,
)
from tests.verify.corpus.parts import mail, payments  # noqa: F401

desk = Participant("desk", sagas=[order])
stock = Participant("stock", sagas=[order])
shipping = Participant("shipping", sagas=[order])


@desk.compensation(of=order.start)
def fail(event: Unavailable | Released, created: OrderCreated, ctx: Context) -> OrderFailed: ...


@stock.action(fails=Unavailable)
def reserve(event: OrderCreated, ctx: Context) -> Reserved: ...


@stock.compensation(of=reserve)
def release(
    payment: Declined | Refunded, invoice: NotInvoiced | InvoiceVoided, reserved: Reserved, ctx: Context
) -> Released: ...


@desk.action(fails=NotInvoiced)
def invoice(event: Reserved, ctx: Context) -> Invoiced: ...


@desk.compensation(of=invoice)
def void(event: NotShipped, invoiced: Invoiced, ctx: Context) -> InvoiceVoided: ...


@shipping.action(kind="pivot", fails=NotShipped)
def ship(charged: Charged, invoiced: Invoiced, ctx: Context) -> Shipped: ...
