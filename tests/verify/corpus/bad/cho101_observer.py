"""A read model waits for an event of another namespace's past."""

from choreo import Context, Participant, event
from tests.verify.corpus.contract import order
from tests.verify.corpus.parts import mail, orders, payments, shipping, stock  # noqa: F401

reporting = Participant("reporting", sagas=[order])


@event(namespace="shop.v1")
class OrderFulfilled:
    order_id: str


@reporting.observer  # expect: CHO101
def count(event: OrderFulfilled, ctx: Context) -> None: ...
