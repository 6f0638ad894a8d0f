"""Shipping has a class of its own, with a slip in its name."""

from choreo import Context, Participant, event
from tests.verify.corpus.contract import NotShipped, Shipped, order
from tests.verify.corpus.parts import mail, orders, payments, stock  # noqa: F401

shipping = Participant("shipping", sagas=[order])


@event(namespace="shop")
class Chargd:
    order_id: str


@shipping.action(kind="pivot", fails=NotShipped)  # expect: CHO101
def ship(event: Chargd, ctx: Context) -> Shipped: ...
