"""Everybody undoes at the saga's first failure, whatever came after."""

from choreo import Aborted, Context, Participant
from tests.verify.corpus.contract import OrderCreated, Released, Reserved, Unavailable, order
from tests.verify.corpus.parts import mail, orders, payments, shipping  # noqa: F401

stock = Participant("stock", sagas=[order])


@stock.action(fails=Unavailable)
def reserve(event: OrderCreated, ctx: Context) -> Reserved: ...


@stock.compensation(of=reserve)  # expect: CHO204
def release(event: Aborted, reserved: Reserved, ctx: Context) -> Released: ...
