"""The step whose failure reaches nobody: the stock doesn't hear that the payment was declined."""

from choreo import Context, Participant
from tests.verify.corpus.contract import OrderCreated, Refunded, Released, Reserved, Unavailable, order
from tests.verify.corpus.parts import mail, orders, payments, shipping  # noqa: F401

stock = Participant("stock", sagas=[order])


@stock.action(fails=Unavailable)
def reserve(event: OrderCreated, ctx: Context) -> Reserved: ...


@stock.compensation(of=reserve)  # expect: CHO203
def release(event: Refunded, reserved: Reserved, ctx: Context) -> Released: ...
