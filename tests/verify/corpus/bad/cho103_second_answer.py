"""Nobody asks whether the mail was read, and the saga ends without it."""

from choreo import Context, Participant
from tests.verify.corpus.contract import Invoiced, Mailed, OrderFulfilled, Shipped, order
from tests.verify.corpus.parts import orders, payments, shipping, stock  # noqa: F401

mail = Participant("mail", sagas=[order])
billing = Participant("billing", sagas=[order])


@mail.action(kind="retriable")
def write(event: Shipped, ctx: Context) -> Mailed: ...


@mail.action(kind="retriable")
def confirm(event: Mailed, ctx: Context) -> OrderFulfilled: ...


@billing.action(kind="retriable")  # expect: CHO103
def invoice(event: Mailed, ctx: Context) -> Invoiced: ...
