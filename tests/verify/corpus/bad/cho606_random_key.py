"""Another key at each attempt: the bank charges twice."""

from uuid import uuid4

from choreo import Context, Participant
from tests.verify.corpus.contract import Charged, Declined, NotShipped, Refunded, Reserved, order
from tests.verify.corpus.parts import mail, orders, shipping, stock  # noqa: F401

payments = Participant("payments", sagas=[order])


@payments.action(fails=Declined)
def charge(event: Reserved, ctx: Context) -> Charged:
    key = uuid4()  # expect: CHO606
    ctx.db.execute("insert into charges values (?)", [str(key)])
    return Charged(event.order_id)


@payments.compensation(of=charge)
def refund(event: NotShipped, charged: Charged, ctx: Context) -> Refunded:
    return Refunded(charged.order_id)
