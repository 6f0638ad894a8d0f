"""What costs nothing is not charged, and the handler says so with an event that it doesn't declare."""

from choreo import Context, Participant
from tests.verify.corpus.contract import Backordered, Charged, Declined, NotShipped, Refunded, Reserved, order
from tests.verify.corpus.parts import mail, orders, shipping, stock  # noqa: F401

payments = Participant("payments", sagas=[order])


@payments.action(fails=Declined)
def charge(event: Reserved, ctx: Context) -> Charged:
    if event.order_id.startswith("free-"):
        return Backordered(event.order_id)  # expect: CHO601
    return Charged(event.order_id)


@payments.compensation(of=charge)
def refund(event: NotShipped, charged: Charged, ctx: Context) -> Refunded:
    return Refunded(charged.order_id)
