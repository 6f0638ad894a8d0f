"""Nothing gives the money back."""

from choreo import Context, Participant
from tests.verify.corpus.contract import Charged, Declined, Reserved, order
from tests.verify.corpus.parts import mail, orders, shipping, stock  # noqa: F401

payments = Participant("payments", sagas=[order])


@payments.action(fails=Declined)  # expect: CHO201
def charge(event: Reserved, ctx: Context) -> Charged: ...
