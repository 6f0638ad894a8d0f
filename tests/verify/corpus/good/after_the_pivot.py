"""After the pivot only what is retried until it succeeds. # good: CHO209"""

from choreo import Context, Participant
from tests.verify.corpus.contract import Invoiced, Mailed, OrderFulfilled, Shipped, order
from tests.verify.corpus.parts import orders, payments, shipping, stock  # noqa: F401

billing = Participant("billing", sagas=[order])
mail = Participant("mail", sagas=[order])


@billing.action(kind="retriable")
def invoice(event: Shipped, ctx: Context) -> Invoiced: ...


@mail.action(kind="retriable")
def write(event: Shipped, ctx: Context) -> Mailed: ...


@mail.action(kind="retriable")
def confirm(mailed: Mailed, invoiced: Invoiced, ctx: Context) -> OrderFulfilled: ...
