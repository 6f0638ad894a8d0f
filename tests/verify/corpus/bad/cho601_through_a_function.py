"""The function that makes the answer has one more."""

from choreo import Context, Participant
from tests.verify.corpus.contract import Charged, Declined, NotShipped, Refunded, Released, Reserved, order
from tests.verify.corpus.parts import mail, orders, shipping, stock  # noqa: F401

payments = Participant("payments", sagas=[order])


def answer(event, accepted):
    if accepted:
        return Charged(event.order_id)
    return Released(event.order_id)


@payments.action(fails=Declined)
def charge(event: Reserved, ctx: Context) -> Charged:
    return answer(event, True)  # expect: CHO601


@payments.compensation(of=charge)
def refund(event: NotShipped, charged: Charged, ctx: Context) -> Refunded:
    return Refunded(charged.order_id)
