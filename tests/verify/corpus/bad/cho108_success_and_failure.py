"""A read model waits for the shipment, and for its failure."""

from choreo import Context, Participant
from tests.verify.corpus.contract import NotShipped, Shipped, order
from tests.verify.corpus.parts import mail, orders, payments, shipping, stock  # noqa: F401

reporting = Participant("reporting", sagas=[order])


@reporting.observer  # expect: CHO108
def compare(shipped: Shipped, not_shipped: NotShipped, ctx: Context) -> None: ...
