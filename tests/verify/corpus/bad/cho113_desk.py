"""The hidden orchestrator: a desk turns every answer into the next command."""

from choreo import Context, Participant, event
from tests.verify.corpus.contract import (
    Charged,
    Declined,
    NotShipped,
    OrderCreated,
    OrderFailed,
    OrderFulfilled,
    Refunded,
    Released,
    Reserved,
    Shipped,
    Unavailable,
    order,
)

desk = Participant("desk", sagas=[order])
stock = Participant("stock", sagas=[order])
payments = Participant("payments", sagas=[order])
shipping = Participant("shipping", sagas=[order])


@event(namespace="shop")
class ReserveAsked:
    order_id: str


@event(namespace="shop")
class ReserveNotAsked:
    order_id: str


@event(namespace="shop")
class ReserveUnasked:
    order_id: str


@event(namespace="shop")
class ChargeAsked:
    order_id: str


@event(namespace="shop")
class ChargeNotAsked:
    order_id: str


@event(namespace="shop")
class ChargeUnasked:
    order_id: str


@event(namespace="shop")
class ShipAsked:
    order_id: str


@event(namespace="shop")
class ShipNotAsked:
    order_id: str


@event(namespace="shop")
class ShipUnasked:
    order_id: str


@desk.compensation(of=order.start)
def fail(event: ReserveNotAsked | ReserveUnasked, created: OrderCreated, ctx: Context) -> OrderFailed: ...


@desk.action(fails=ReserveNotAsked)  # expect: CHO113
def ask_to_reserve(event: OrderCreated, ctx: Context) -> ReserveAsked: ...


@desk.compensation(of=ask_to_reserve)
def unask_to_reserve(event: Unavailable | Released, asked: ReserveAsked, ctx: Context) -> ReserveUnasked: ...


@desk.action(fails=ChargeNotAsked)
def ask_to_charge(event: Reserved, ctx: Context) -> ChargeAsked: ...


@desk.compensation(of=ask_to_charge)
def unask_to_charge(event: Declined | Refunded, asked: ChargeAsked, ctx: Context) -> ChargeUnasked: ...


@desk.action(fails=ShipNotAsked)
def ask_to_ship(event: Charged, ctx: Context) -> ShipAsked: ...


@desk.compensation(of=ask_to_ship)
def unask_to_ship(event: NotShipped, asked: ShipAsked, ctx: Context) -> ShipUnasked: ...


@desk.action(kind="retriable")
def close(event: Shipped, ctx: Context) -> OrderFulfilled: ...


@stock.action(fails=Unavailable)
def reserve(event: ReserveAsked, ctx: Context) -> Reserved: ...


@stock.compensation(of=reserve)
def release(event: ChargeNotAsked | ChargeUnasked, reserved: Reserved, ctx: Context) -> Released: ...


@payments.action(fails=Declined)
def charge(event: ChargeAsked, ctx: Context) -> Charged: ...


@payments.compensation(of=charge)
def refund(event: ShipNotAsked | ShipUnasked, charged: Charged, ctx: Context) -> Refunded: ...


@shipping.action(kind="pivot", fails=NotShipped)
def ship(event: ShipAsked, ctx: Context) -> Shipped: ...
