"""A deadline speaks in the name of the step that it watches."""

from datetime import timedelta

from choreo import Aborted, Context, Participant
from tests.verify.corpus.contract import Charged, Declined, NotShipped, Refunded, Reserved, order
from tests.verify.corpus.parts import mail, orders, shipping, stock  # noqa: F401

payments = Participant("payments", sagas=[order])
watch = Participant("watch", sagas=[order])


@payments.action(fails=Declined)  # expect: CHO109
def charge(event: Reserved, ctx: Context) -> Charged: ...


@payments.compensation(of=charge)
def refund(event: NotShipped | Aborted, charged: Charged, ctx: Context) -> Refunded: ...


@watch.deadline(of="payments.charge", within=timedelta(hours=1))
def charge_is_late(event: Reserved, ctx: Context) -> Declined: ...
