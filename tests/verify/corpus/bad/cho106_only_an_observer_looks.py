"""The second answer of the payment is only counted."""

from choreo import Context, Participant
from tests.verify.corpus.contract import Backordered, Charged, Declined, NotShipped, Refunded, Reserved, order
from tests.verify.corpus.parts import mail, orders, shipping, stock  # noqa: F401

payments = Participant("payments", sagas=[order])


@payments.action(fails=Declined)  # expect: CHO106
def charge(event: Reserved, ctx: Context) -> Charged | Backordered: ...


@payments.compensation(of=charge)
def refund(event: NotShipped, done: Charged | Backordered, ctx: Context) -> Refunded: ...


@payments.observer
def count(event: Backordered, ctx: Context) -> None: ...
