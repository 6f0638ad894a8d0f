"""Readers that differ from their writers, and can read them. # good: CHO501, CHO502, CHO503, CHO505"""

from dataclasses import replace
from enum import Enum

from choreo import Context, Participant, event
from choreo.manifest import Manifest
from tests.verify.corpus.contract import Charged, NotShipped, OrderFulfilled, order
from tests.verify.corpus.parts import orders, payments, stock  # noqa: F401

shipping = Participant("shipping", sagas=[order])
mail = Participant("mail", sagas=[order])
old = {
    "type": "record",
    "name": "Shipped",
    "namespace": "shop",
    "fields": [{"name": "order_id", "type": "string"}],
}


class Speed(Enum):
    UNKNOWN = "unknown"
    NORMAL = "normal"


@event(namespace="shop")
class Shipped:
    order_id: str
    speed: Speed = Speed.NORMAL
    label: bytes = b""


@event(namespace="shop", name="Shipped")
class ShippedForMail:
    order_id: str
    speed: Speed = Speed.UNKNOWN
    carrier: str = ""
    label: bytes = b""


@shipping.action(kind="pivot", fails=NotShipped)
def ship(event: Charged, ctx: Context) -> Shipped: ...


@mail.action(kind="retriable")
def confirm(event: ShippedForMail, ctx: Context) -> OrderFulfilled: ...


def alter(manifest: Manifest) -> Manifest:
    """Remember a version that both can read."""
    if manifest.participant != "shipping":
        return manifest
    entry = replace(manifest.schemas["shop.Shipped"], earlier=(old,))
    return replace(manifest, schemas={**manifest.schemas, "shop.Shipped": entry})
