"""The bank is called while the database is held."""

from urllib.request import urlopen

from choreo import Context, Participant
from tests.verify.corpus.contract import Charged, Declined, NotShipped, Refunded, Reserved, order
from tests.verify.corpus.parts import mail, orders, shipping, stock  # noqa: F401

payments = Participant("payments", sagas=[order])


@payments.action(fails=Declined)
def charge(event: Reserved, ctx: Context) -> Charged:
    urlopen("https://bank.example/charges")  # expect: CHO605
    return Charged(event.order_id)


@payments.compensation(of=charge)
def refund(event: NotShipped, charged: Charged, ctx: Context) -> Refunded:
    return Refunded(charged.order_id)
