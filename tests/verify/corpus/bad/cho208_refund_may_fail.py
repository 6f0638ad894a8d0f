"""A manifest of another tool's has a compensation that may say no."""

from dataclasses import replace

from choreo import Context, Participant
from choreo.manifest import Emission, Manifest
from tests.verify.corpus.contract import Charged, Declined, NotShipped, Refunded, Reserved, order
from tests.verify.corpus.parts import mail, orders, shipping, stock  # noqa: F401

payments = Participant("payments", sagas=[order])


@payments.action(fails=Declined)
def charge(event: Reserved, ctx: Context) -> Charged: ...


@payments.compensation(of=charge)  # expect: CHO208
def refund(event: NotShipped, charged: Charged, ctx: Context) -> Refunded: ...


def alter(manifest: Manifest) -> Manifest:
    """Let the refund fail."""
    emits = Emission(("shop.Refunded",), ("shop.NotRefunded",))
    handlers = (replace(each, emits=emits) if "refund" in each.name else each for each in manifest.handlers)
    return replace(manifest, handlers=tuple(handlers))
