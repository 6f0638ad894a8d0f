"""Releasing also waits for an event that nobody else has heard of."""

from choreo import Context, Participant, event
from tests.verify.corpus.contract import (
    Declined,
    OrderCreated,
    Refunded,
    Released,
    Reserved,
    Unavailable,
    order,
)
from tests.verify.corpus.parts import mail, orders, payments, shipping  # noqa: F401

stock = Participant("stock", sagas=[order])


@event(namespace="shop")
class Voided:
    order_id: str


@stock.action(fails=Unavailable)
def reserve(event: OrderCreated, ctx: Context) -> Reserved: ...


@stock.compensation(of=reserve)  # expect: CHO101
def release(event: Declined | Refunded | Voided, reserved: Reserved, ctx: Context) -> Released: ...
