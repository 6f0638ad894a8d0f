"""Which answer it is stands in a table of functions."""

from choreo import Context, Participant
from tests.verify.corpus.contract import Charged, Declined, NotShipped, Refunded, Reserved, order
from tests.verify.corpus.parts import mail, orders, shipping, stock  # noqa: F401

payments = Participant("payments", sagas=[order])
answers = {"card": lambda event: Charged(event.order_id)}


@payments.action(fails=Declined)
def charge(event: Reserved, ctx: Context) -> Charged:
    return answers["card"](event)  # expect: CHO603


@payments.compensation(of=charge)
def refund(event: NotShipped, charged: Charged, ctx: Context) -> Refunded:
    return Refunded(charged.order_id)
