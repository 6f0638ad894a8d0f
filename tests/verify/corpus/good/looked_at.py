"""A branch that is only observed, one that is only remembered, and one that leaves. # good: CHO103"""

from choreo import Context, Earlier, External, Participant
from tests.verify.corpus.contract import Invoiced, Mailed, OrderFulfilled, Shipped, order
from tests.verify.corpus.parts import orders, payments, shipping, stock  # noqa: F401

mail = Participant("mail", sagas=[order])
billing = Participant("billing", sagas=[order], external=[External(Invoiced, topic="ledger")])
reporting = Participant("reporting", sagas=[order])


@billing.action(kind="retriable")
def invoice(event: Shipped, ctx: Context) -> Invoiced: ...


@mail.action(kind="retriable")
def write(event: Shipped, ctx: Context) -> Mailed: ...


@mail.action(kind="retriable")
def confirm(event: Mailed, ctx: Context) -> OrderFulfilled: ...


@reporting.observer
def count(event: OrderFulfilled, mailed: Earlier[Mailed], ctx: Context) -> None: ...
