"""A slot of the join is filled by what comes after it."""

from choreo import Context, Participant
from tests.verify.corpus.contract import Invoiced, Mailed, OrderFulfilled, Shipped, order
from tests.verify.corpus.parts import orders, payments, shipping, stock  # noqa: F401

mail = Participant("mail", sagas=[order])
billing = Participant("billing", sagas=[order])


@mail.action(kind="retriable")
def confirm(event: Shipped, ctx: Context) -> OrderFulfilled: ...


@mail.action(kind="retriable")  # expect: CHO104
def write(shipped: Shipped, invoiced: Invoiced, ctx: Context) -> Mailed: ...


@billing.action(kind="retriable")
def invoice(event: Mailed, ctx: Context) -> Invoiced: ...
