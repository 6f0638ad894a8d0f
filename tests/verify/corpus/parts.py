"""The order as it should be: reserve, charge, ship (the pivot), mail; cases import what they don't break."""

from choreo import Context, Participant
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

orders = Participant("orders", sagas=[order])
stock = Participant("stock", sagas=[order])
payments = Participant("payments", sagas=[order])
shipping = Participant("shipping", sagas=[order])
mail = Participant("mail", sagas=[order])


@orders.compensation(of=order.start)
def fail(event: Unavailable | Released, created: OrderCreated, ctx: Context) -> OrderFailed: ...


@stock.action(fails=Unavailable)
def reserve(event: OrderCreated, ctx: Context) -> Reserved: ...


@stock.compensation(of=reserve)
def release(event: Declined | Refunded, reserved: Reserved, ctx: Context) -> Released: ...


@payments.action(fails=Declined)
def charge(event: Reserved, ctx: Context) -> Charged: ...


@payments.compensation(of=charge)
def refund(event: NotShipped, charged: Charged, ctx: Context) -> Refunded: ...


@shipping.action(kind="pivot", fails=NotShipped)
def ship(event: Charged, ctx: Context) -> Shipped: ...


@mail.action(kind="retriable")
def confirm(event: Shipped, ctx: Context) -> OrderFulfilled: ...
