"""The day a third speed is added, mail can't read shipments any more."""

from enum import Enum

from choreo import Context, Participant, event
from tests.verify.corpus.contract import Charged, NotShipped, OrderFulfilled, order
from tests.verify.corpus.parts import orders, payments, stock  # noqa: F401

shipping = Participant("shipping", sagas=[order])
mail = Participant("mail", sagas=[order])


class Speed(Enum):
    NORMAL = "normal"
    EXPRESS = "express"


@event(namespace="shop")
class Shipped:
    order_id: str
    speed: Speed


@shipping.action(kind="pivot", fails=NotShipped)
def ship(event: Charged, ctx: Context) -> Shipped: ...


@mail.action(kind="retriable")  # expect: CHO505
def confirm(event: Shipped, ctx: Context) -> OrderFulfilled: ...
