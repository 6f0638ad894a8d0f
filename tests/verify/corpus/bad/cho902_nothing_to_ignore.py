"""The deadline is gone; the suppression was left."""

from choreo import Context, Participant
from tests.verify.corpus.contract import Charged, Declined, NotShipped, Refunded, Reserved, order
from tests.verify.corpus.parts import mail, orders, shipping, stock  # noqa: F401

payments = Participant("payments", sagas=[order])


# choreo: ignore[CHO303] the bank is mostly faster
@payments.action(fails=Declined)  # expect: CHO902
def charge(event: Reserved, ctx: Context) -> Charged: ...


@payments.compensation(of=charge)
def refund(event: NotShipped, charged: Charged, ctx: Context) -> Refunded: ...
