"""A deadline watches a participant whose manifest is not here."""

from datetime import timedelta

from choreo import Context, Participant
from tests.verify.corpus.contract import (
    InvoiceLate,
    OrderCreated,
    OrderFailed,
    Released,
    Unavailable,
    order,
)
from tests.verify.corpus.parts import mail, payments, shipping, stock  # noqa: F401

orders = Participant("orders", sagas=[order])


@orders.compensation(of=order.start)
def fail(event: Unavailable | Released, created: OrderCreated, ctx: Context) -> OrderFailed: ...


@orders.deadline(of="billing.invoice", within=timedelta(hours=1))  # expect: CHO702
def invoice_is_late(event: OrderCreated, ctx: Context) -> InvoiceLate: ...
