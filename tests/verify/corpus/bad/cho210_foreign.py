"""A manifest of another tool's: orders declares the compensation of a charge."""

from dataclasses import replace

from choreo import Context, Participant
from choreo.manifest import Manifest
from tests.verify.corpus.contract import (
    Charged,
    Declined,
    NotShipped,
    OrderCreated,
    OrderFailed,
    Refunded,
    Released,
    Reserved,
    Unavailable,
    order,
)
from tests.verify.corpus.parts import mail, shipping, stock  # noqa: F401

orders = Participant("orders", sagas=[order])
payments = Participant("payments", sagas=[order])


@orders.compensation(of=order.start)
def fail(event: Unavailable | Released, created: OrderCreated, ctx: Context) -> OrderFailed: ...


@payments.action(fails=Declined)
def charge(event: Reserved, ctx: Context) -> Charged: ...


@payments.compensation(of=charge)  # expect: CHO210
def refund(event: NotShipped, charged: Charged, ctx: Context) -> Refunded: ...


def alter(manifest: Manifest) -> Manifest:
    """Say that the refund is another's."""
    if manifest.participant != "payments":
        return manifest
    handlers = (
        replace(each, name="orders.refund") if "refund" in each.name else each for each in manifest.handlers
    )
    return replace(manifest, handlers=tuple(handlers))
