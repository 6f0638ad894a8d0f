"""A read model looks on another topic."""

from choreo import Context, Participant, Saga
from tests.verify.corpus.contract import OrderCreated, OrderFailed, OrderFulfilled
from tests.verify.corpus.parts import mail, orders, payments, shipping, stock  # noqa: F401

moved = Saga("order", starts=OrderCreated, completes=OrderFulfilled, fails=OrderFailed, topic="orders.v2")
reporting = Participant("reporting", sagas=[moved])


@reporting.observer  # expect: CHO112
def count(event: OrderFulfilled, ctx: Context) -> None: ...
