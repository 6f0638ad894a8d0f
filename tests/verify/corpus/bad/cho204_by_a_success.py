"""The payment is given back when the parcel is on its way."""

from choreo import Context, Participant
from tests.verify.corpus.contract import Charged, Declined, NotShipped, Refunded, Reserved, Shipped, order
from tests.verify.corpus.parts import mail, orders, shipping, stock  # noqa: F401

payments = Participant("payments", sagas=[order])


@payments.action(fails=Declined)
def charge(event: Reserved, ctx: Context) -> Charged: ...


@payments.compensation(of=charge)  # expect: CHO204
def refund(event: NotShipped | Shipped, charged: Charged, ctx: Context) -> Refunded: ...
