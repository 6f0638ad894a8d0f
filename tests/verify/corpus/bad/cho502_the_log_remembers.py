"""Once an order's id was a number; the log still holds such shipments, and mail can't read them."""

from dataclasses import replace

from choreo import Context, Participant
from choreo.manifest import Manifest
from tests.verify.corpus.contract import OrderFulfilled, Shipped, order
from tests.verify.corpus.parts import orders, payments, shipping, stock  # noqa: F401

mail = Participant("mail", sagas=[order])
old = {
    "type": "record",
    "name": "Shipped",
    "namespace": "shop",
    "fields": [{"name": "order_id", "type": "long"}],
}


@mail.action(kind="retriable")  # expect: CHO502
def confirm(event: Shipped, ctx: Context) -> OrderFulfilled: ...


def alter(manifest: Manifest) -> Manifest:
    """Remember the old version where shipments are written."""
    if manifest.participant != "shipping":
        return manifest
    entry = replace(manifest.schemas["shop.Shipped"], earlier=(old,))
    return replace(manifest, schemas={**manifest.schemas, "shop.Shipped": entry})
