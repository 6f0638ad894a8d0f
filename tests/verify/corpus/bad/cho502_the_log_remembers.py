"""Once an order's id was a number; the log still holds such orders, and the stock can't read them."""

from dataclasses import replace

from choreo import Context, Participant
from choreo.manifest import Manifest
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
old = {
    "type": "record",
    "name": "OrderCreated",
    "namespace": "shop",
    "fields": [{"name": "order_id", "type": "long"}],
}


@stock.action(fails=Unavailable)  # expect: CHO502
def reserve(event: OrderCreated, ctx: Context) -> Reserved: ...


@stock.compensation(of=reserve)
def release(event: Declined | Refunded, reserved: Reserved, ctx: Context) -> Released: ...


def alter(manifest: Manifest) -> Manifest:
    """Remember the old version where the stock keeps its schemas."""
    if manifest.participant != "stock":
        return manifest
    entry = replace(manifest.schemas["shop.OrderCreated"], earlier=(old,))
    return replace(manifest, schemas={**manifest.schemas, "shop.OrderCreated": entry})
