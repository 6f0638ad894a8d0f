"""The stock hears that the payment was declined, not that it was given back."""

from choreo import Context, Participant
from tests.verify.corpus.contract import Declined, OrderCreated, Released, Reserved, Unavailable, order
from tests.verify.corpus.parts import mail, orders, payments, shipping  # noqa: F401

stock = Participant("stock", sagas=[order])


@stock.action(fails=Unavailable)
def reserve(event: OrderCreated, ctx: Context) -> Reserved: ...


@stock.compensation(of=reserve)  # expect: CHO203
def release(event: Declined, reserved: Reserved, ctx: Context) -> Released: ...
