"""The shipment carries a signature in bytes, and mail reads it as text."""

from choreo import Context, Participant, event
from tests.verify.corpus.contract import Charged, NotShipped, OrderFulfilled, order
from tests.verify.corpus.parts import orders, payments, stock  # noqa: F401

shipping = Participant("shipping", sagas=[order])
mail = Participant("mail", sagas=[order])


@event(namespace="shop")
class Shipped:
    order_id: str
    signature: bytes = b""


@event(namespace="shop", name="Shipped")
class ShippedForMail:
    order_id: str
    signature: str = ""


@shipping.action(kind="pivot", fails=NotShipped)
def ship(event: Charged, ctx: Context) -> Shipped: ...


@mail.action(kind="retriable")  # expect: CHO503
def confirm(event: ShippedForMail, ctx: Context) -> OrderFulfilled: ...
