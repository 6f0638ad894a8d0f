"""A comparison waits for the shipment, and for its failure."""

from choreo import Context, Participant
from tests.verify.corpus.contract import Invoiced, NotShipped, Shipped, order
from tests.verify.corpus.parts import mail, orders, payments, shipping, stock  # noqa: F401

reporting = Participant("reporting", sagas=[order])


@reporting.action(kind="retriable")  # expect: CHO103, CHO108, CHO209
def compare(shipped: Shipped, not_shipped: NotShipped, ctx: Context) -> Invoiced: ...
