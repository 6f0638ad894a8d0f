"""The participant that invoices counts invoices, those that are faster than the end."""

from choreo import Context, Participant
from tests.verify.corpus.contract import Invoiced, OrderFulfilled, Shipped, order
from tests.verify.corpus.parts import orders, payments, shipping, stock  # noqa: F401

mail = Participant("mail", sagas=[order])
billing = Participant("billing", sagas=[order])


@mail.action(kind="retriable")
def confirm(event: Shipped, ctx: Context) -> OrderFulfilled: ...


@billing.action(kind="retriable")  # expect: CHO110
def invoice(event: Shipped, ctx: Context) -> Invoiced: ...


@billing.observer
def count(event: Invoiced, ctx: Context) -> None: ...
