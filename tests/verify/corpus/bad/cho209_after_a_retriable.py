"""First the mail, which can't be taken back, then the payment, which may be declined."""

from choreo import Aborted, Context, Participant
from tests.verify.corpus.contract import (
    Charged,
    Declined,
    Mailed,
    OrderCreated,
    OrderFailed,
    order,
)
from tests.verify.corpus.parts import mail as sender  # noqa: F401
from tests.verify.corpus.parts import shipping  # noqa: F401

orders = Participant("orders", sagas=[order])
letters = Participant("letters", sagas=[order])
payments = Participant("payments", sagas=[order])


@orders.compensation(of=order.start)
def fail(event: Aborted, created: OrderCreated, ctx: Context) -> OrderFailed: ...


@letters.action(kind="retriable")
def write(event: OrderCreated, ctx: Context) -> Mailed: ...


@payments.action(kind="pivot", fails=Declined)  # expect: CHO209
def charge(event: Mailed, ctx: Context) -> Charged: ...
