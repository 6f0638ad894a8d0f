"""Payments was deployed with a Reserved of its own, which has one field more."""

from choreo import Context, Participant, event
from tests.verify.corpus.contract import Charged, Declined, NotShipped, Refunded, order
from tests.verify.corpus.parts import mail, orders, shipping, stock  # noqa: F401

payments = Participant("payments", sagas=[order])


@event(namespace="shop")
class Reserved:
    order_id: str
    warehouse: str


@payments.action(fails=Declined)  # expect: CHO501
def charge(event: Reserved, ctx: Context) -> Charged: ...


@payments.compensation(of=charge)
def refund(event: NotShipped, charged: Charged, ctx: Context) -> Refunded: ...
