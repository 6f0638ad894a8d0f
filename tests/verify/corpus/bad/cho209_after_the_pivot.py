"""The invoice can fail after the parcel has left."""

from choreo import Context, Participant
from tests.verify.corpus.contract import Invoiced, NotInvoiced, OrderFulfilled, Shipped, order
from tests.verify.corpus.parts import orders, payments, shipping, stock  # noqa: F401

billing = Participant("billing", sagas=[order])
mail = Participant("mail", sagas=[order])


@billing.action(kind="pivot", fails=NotInvoiced)  # expect: CHO209
def invoice(event: Shipped, ctx: Context) -> Invoiced: ...


@mail.action(kind="retriable")
def confirm(event: Invoiced, ctx: Context) -> OrderFulfilled: ...
