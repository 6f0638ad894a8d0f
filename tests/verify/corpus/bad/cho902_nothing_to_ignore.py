"""The timeout is there again; the suppression was left."""

from choreo import Context, Participant
from tests.verify.corpus.contract import Charged, Declined, NotShipped, Refunded, Reserved, order
from tests.verify.corpus.parts import mail, orders, shipping, stock  # noqa: F401

payments = Participant("payments", sagas=[order])


# choreo: ignore[CHO301] the bank answers when it answers
@payments.action(fails=Declined)  # expect: CHO902
def charge(event: Reserved, ctx: Context) -> Charged: ...


@payments.compensation(of=charge)
def refund(event: NotShipped, charged: Charged, ctx: Context) -> Refunded: ...
