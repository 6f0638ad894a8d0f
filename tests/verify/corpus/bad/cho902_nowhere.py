"""A suppression stands at no handler, and names no rule."""

from choreo import Context, Participant
from tests.verify.corpus.contract import OrderFulfilled, order
from tests.verify.corpus.parts import mail, orders, payments, shipping, stock  # noqa: F401

reporting = Participant("reporting", sagas=[order])

# choreo: ignore  # expect: CHO902
LIMIT = 5


@reporting.observer
def count(event: OrderFulfilled, ctx: Context) -> None:
    return
