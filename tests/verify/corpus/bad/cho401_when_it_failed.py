"""Whoever notes the end of an order wants its payment, also of orders that never were paid."""

from choreo import Context, Earlier, Participant
from tests.verify.corpus.contract import Charged, OrderFailed, OrderFulfilled, order
from tests.verify.corpus.parts import mail, orders, payments, shipping, stock  # noqa: F401

reporting = Participant("reporting", sagas=[order])


@reporting.observer  # expect: CHO401
def note(event: OrderFulfilled | OrderFailed, payment: Earlier[Charged], ctx: Context) -> None: ...
