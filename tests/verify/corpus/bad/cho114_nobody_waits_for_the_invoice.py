"""The order may be fulfilled while its invoice is still being written."""

from choreo import Aborted, Context, Participant
from tests.verify.corpus.contract import (
    Invoiced,
    InvoiceVoided,
    NotInvoiced,
    OrderCreated,
    OrderFailed,
    OrderFulfilled,
    Released,
    Unavailable,
    order,
)

orders = Participant("orders", sagas=[order])
stock = Participant("stock", sagas=[order])
billing = Participant("billing", sagas=[order])


@orders.compensation(of=order.start)
def fail(
    stock: Unavailable | Released, invoice: NotInvoiced | InvoiceVoided, created: OrderCreated, ctx: Context
) -> OrderFailed: ...


@stock.action(fails=Unavailable)
def hand_over(event: OrderCreated, ctx: Context) -> OrderFulfilled: ...


@stock.compensation(of=hand_over)
def take_back(event: Aborted, done: OrderFulfilled, ctx: Context) -> Released: ...


@billing.action(fails=NotInvoiced)  # expect: CHO114
def invoice(event: OrderCreated, ctx: Context) -> Invoiced: ...


@billing.compensation(of=invoice)
def void(event: Aborted, invoiced: Invoiced, ctx: Context) -> InvoiceVoided: ...


@billing.observer
def count(event: Invoiced, ctx: Context) -> None: ...
