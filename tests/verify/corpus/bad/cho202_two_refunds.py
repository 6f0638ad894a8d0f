"""A manifest of another tool's declares two compensations of one charge."""

from dataclasses import replace

from choreo import Context, Participant
from choreo.manifest import Manifest
from tests.verify.corpus.contract import Charged, Declined, NotShipped, Refunded, Reserved, order
from tests.verify.corpus.parts import mail, orders, shipping, stock  # noqa: F401

payments = Participant("payments", sagas=[order])


@payments.action(fails=Declined)
def charge(event: Reserved, ctx: Context) -> Charged: ...


@payments.compensation(of=charge)  # expect: CHO202
def refund(event: NotShipped, charged: Charged, ctx: Context) -> Refunded: ...


def alter(manifest: Manifest) -> Manifest:
    """Declare the refund once more, under another name."""
    twins = tuple(
        replace(each, name="payments.credit") for each in manifest.handlers if "refund" in each.name
    )
    return replace(manifest, handlers=(*manifest.handlers, *twins))
